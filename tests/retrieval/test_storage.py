import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepagent.errors import IndexFormatError, OperatorError, ToolDefinitionError
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.tools import ToolSpec

from .conftest import SHOP

SPECS = st.lists(
    st.builds(
        ToolSpec,
        name=st.text(min_size=1, max_size=20),
        description=st.text(max_size=60),
        toolset=st.text(max_size=10),
        parameters=st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3),
    ),
    max_size=5,
    unique_by=lambda spec: spec.name,
)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def saved(shop: ToolIndex, tmp_path: Path) -> Path:
    folder = tmp_path / "some" / "index"
    shop.save(folder)
    return folder


@given(SPECS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_what_is_opened(tmp_path: Path, specs: list[ToolSpec]):
    index = ToolIndex.build(specs, HashEncoder(32))
    index.save(tmp_path)
    opened = ToolIndex.open(tmp_path, HashEncoder(32))
    assert opened.specs == index.specs
    assert opened.search("a tool") == index.search("a tool")


def test_equal_tools_make_equal_files(saved: Path, tmp_path: Path):
    ToolIndex.build(reversed(SHOP), HashEncoder()).save(tmp_path / "again")
    assert files(saved) == files(tmp_path / "again")


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_noticed(saved: Path, data: st.DataObject):
    path = data.draw(st.sampled_from(sorted(saved.iterdir())))
    sound = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(sound) - 1)), data.draw(st.integers(0, 7))
    broken = bytearray(sound)
    broken[place] ^= 1 << bit
    path.write_bytes(broken)
    try:
        with pytest.raises(IndexFormatError, match="build it again"):
            ToolIndex.open(saved, HashEncoder())
    finally:
        path.write_bytes(sound)


def test_every_bit_of_the_manifest_counts(saved: Path):
    path = saved / "manifest.json"
    sound = path.read_bytes()
    for place in range(len(sound) * 8):
        broken = bytearray(sound)
        broken[place // 8] ^= 1 << place % 8
        path.write_bytes(broken)
        with pytest.raises(IndexFormatError):
            ToolIndex.open(saved, HashEncoder())


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_file_that_was_cut_is_noticed(saved: Path, cut: int):
    for path in saved.iterdir():
        sound = path.read_bytes()
        path.write_bytes(sound[:cut])
        with pytest.raises(IndexFormatError, match="damaged"):
            ToolIndex.open(saved, HashEncoder())
        path.write_bytes(sound)


@pytest.mark.parametrize("kind", ["specs", "embeddings"])
def test_a_file_that_is_gone_is_named(saved: Path, kind: str):
    next(saved.glob(f"{kind}-*")).unlink()
    with pytest.raises(IndexFormatError, match=f"{kind}-.*cannot be read"):
        ToolIndex.open(saved, HashEncoder())


def test_where_no_index_is_one_can_be_built(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(IndexFormatError, match=r"no tool index.*index build"):
            ToolIndex.open(place, HashEncoder())


def test_another_encoder_is_refused(saved: Path):
    with pytest.raises(IndexFormatError, match="made by encoder hash:256, not hash:64"):
        ToolIndex.open(saved, HashEncoder(64))


def test_another_version_is_refused(saved: Path):
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(IndexFormatError, match=r"another version: manifest.json, format"):
        ToolIndex.open(saved, HashEncoder())


def test_a_manifest_cannot_point_elsewhere(saved: Path):
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps({**manifest, "specs": "../" * 21 + "x"}))
    with pytest.raises(IndexFormatError, match=r"manifest.json, specs"):
        ToolIndex.open(saved, HashEncoder())


def test_a_pickle_is_never_loaded(saved: Path, tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    from deepagent.retrieval.storage import _checksum

    vectors = next(saved.glob("embeddings-*"))
    np.save(vectors, np.array([Trap()], dtype=object), allow_pickle=True)
    checksum = _checksum(vectors)
    vectors.rename(saved / f"embeddings-{checksum[:16]}.npy")
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps({**manifest, "embeddings": checksum}))
    with pytest.raises(IndexFormatError, match="is not an array"):
        ToolIndex.open(saved, HashEncoder())
    assert not (tmp_path / "sprung").exists()


def test_saving_replaces_the_old_index_and_leaves_other_files_alone(saved: Path):
    (saved / "notes.txt").write_text("mine")
    ToolIndex.build(SHOP[:2], HashEncoder()).save(saved)
    assert len(ToolIndex.open(saved, HashEncoder())) == 2
    assert len(files(saved)) == 4
    assert (saved / "notes.txt").read_text() == "mine"


def test_an_open_index_outlives_its_replacement(saved: Path):
    index = ToolIndex.open(saved, HashEncoder())
    before = index.search("rain")
    ToolIndex.build(SHOP[:1], HashEncoder()).save(saved)
    assert index.search("rain") == before
    index.save(saved)
    assert ToolIndex.open(saved, HashEncoder()).search("rain") == before


KILLED = """
import os, signal, sys
from pathlib import Path
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.tools import ToolSpec

index = ToolIndex.build([ToolSpec(name="new")], HashEncoder())
steps, last = 0, int(sys.argv[2])

def watch(event, arguments):
    global steps
    if event in ("open", "os.rename", "os.remove") and str(sys.argv[1]) in str(arguments[0]):
        steps += 1
        if steps > last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
index.save(Path(sys.argv[1]))
"""


def test_a_kill_at_any_step_leaves_the_old_index_or_the_new_one(saved: Path, shop: ToolIndex):
    found = []
    for step in range(40):
        shop.save(saved)
        done = subprocess.run([sys.executable, "-c", KILLED, str(saved), str(step)], env=os.environ, check=False)
        found.append(len(ToolIndex.open(saved, HashEncoder())))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0
    assert found == sorted(found, reverse=True)
    assert set(found) == {4, 1}


def test_a_folder_that_cannot_be_written_is_named(shop: ToolIndex, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be written"):
        shop.save(tmp_path / "file")


def test_a_schema_that_is_not_json_names_its_tool(tmp_path: Path):
    index = ToolIndex.build([ToolSpec(name="odd", parameters={"default": object()})], HashEncoder())
    with pytest.raises(ToolDefinitionError, match="schema of odd"):
        index.save(tmp_path)
    assert files(tmp_path) == {}
