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


def test_a_command_loads_what_it_needs_and_no_other_command():
    shown = loaded_by("--version")
    assert shown & {*HEAVY, "pydantic", "aiohttp", "jinja2", "yaml", "deepagent.cli.run", "deepagent.agent"} == set()
    listed = loaded_by("runs", "list", "--help")
    assert "deepagent.cli.runs" in listed
    assert listed & {*HEAVY, "aiohttp", "jinja2", "deepagent.cli.evaluations", "deepagent.cli.index"} == set()
    evaluated = loaded_by("eval", "--help")
    assert evaluated & {*HEAVY, "aiohttp", "deepagent.training"} == set()


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    code = (
        "import json, sys; from deepagent.cli.main import main\n"
        "try: main()\n"
        "finally: print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))
