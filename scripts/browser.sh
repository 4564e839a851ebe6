#!/usr/bin/env bash
# Sees to what the browser tests and screenshots need: Debian's chromium, and what drives it. Run by make.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ ! -x /usr/bin/chromium ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        { echo "error: /usr/bin/chromium is missing; install it first, on Debian: sudo apt-get install chromium" >&2; exit 1; }
    echo "installing chromium (the page is tested in it)"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null
fi
.venv/bin/python -c 'import playwright' 2>/dev/null ||
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
