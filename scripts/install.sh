#!/usr/bin/env bash
# Makes .venv with pinned versions, and sees to the system packages that are needed. Run by make.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-python3}"

fail() { echo "error: $*" >&2; exit 1; }

# Installs Debian packages when that is ours to do, else says what to install.
need() {
    local why="$1"; shift
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $* ($why)"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null
    else
        fail "$why; install it first, on Debian: sudo apt-get install $*"
    fi
}

command -v "$PYTHON" >/dev/null || fail "there is no $PYTHON; install Python 3.11 or newer, or give PYTHON=..."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$PYTHON is older than 3.11; give PYTHON=..."
command -v bwrap >/dev/null || need "code runs confined by bubblewrap" bubblewrap
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || need "environments need Python's venv" "python3-venv"

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
echo "installing pinned packages into .venv (the first time takes a few minutes)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,mcp,research,view,benchmarks,train,docs,dev]'
touch .venv/installed
