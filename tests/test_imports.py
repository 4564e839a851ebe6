"""`import deepagent` is light, and the public API is what it says."""

import json
import subprocess
import sys

HEAVY = ("torch", "faiss", "sentence_transformers", "vllm", "ray", "transformers", "xllamacpp", "numpy", "bm25s")


def test_importing_deepagent_loads_nothing_heavy():
    code = f"import json, sys, deepagent; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(loaded) == []


def test_using_the_public_api_loads_nothing_heavy_before_it_is_needed():
    code = (
        "import json, sys, deepagent; deepagent.Agent(tools=[len and (lambda a: a)][:0]); "
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(loaded) == []


def test_the_public_api_is_sorted_and_whole():
    import deepagent

    assert list(deepagent.__all__) == sorted(deepagent.__all__)
    for name in deepagent.__all__:
        assert getattr(deepagent, name) is not None
