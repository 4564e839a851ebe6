import json
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

from .conftest import SHOP, alike

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
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_what_is_opened(tmp_path: Path, specs: list[ToolSpec]):
    index = ToolIndex.build(specs, HashEncoder(32))
    index.save(tmp_path)
    opened = ToolIndex.open(tmp_path, HashEncoder(32))
    assert opened.specs == index.specs == tuple(sorted(specs, key=lambda spec: spec.name))
    assert alike(opened.search("a tool"), index.search("a tool"))


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


def test_the_manifest_is_checked_too(saved: Path):
    path = saved / "manifest.json"
    sound = path.read_bytes()
    for place in range(0, len(sound) * 8, 11):  # so that each bit of a byte has its turn
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


@pytest.mark.parametrize("kind", ["names", "entries", "vectors", "rows", "gone"])
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
    (saved / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    with pytest.raises(IndexFormatError, match=r"another version: manifest.json, format"):
        ToolIndex.open(saved, HashEncoder())


def test_a_manifest_cannot_point_elsewhere(saved: Path):
    manifest = json.loads((saved / "manifest.json").read_text())
    for part in ({**manifest["parts"][0], "names": "../" * 21 + "x"}, {**manifest["parts"][0], "../x": "0" * 64}):
        (saved / "manifest.json").write_text(json.dumps({**manifest, "parts": [part]}))
        with pytest.raises(IndexFormatError, match=r"manifest.json, parts"):
            ToolIndex.open(saved, HashEncoder())


def test_a_pickle_is_never_loaded(saved: Path, tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    from deepagent.retrieval.storage import _checksum

    rows = next(saved.glob("rows-*"))
    with rows.open("wb") as stream:
        np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    checksum = _checksum(rows)
    rows.rename(saved / f"rows-{checksum[:16]}.npy")
    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["parts"][0]["rows"] = checksum
    (saved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IndexFormatError, match="damaged"):
        ToolIndex.open(saved, HashEncoder())
    assert not (tmp_path / "sprung").exists()


def test_saving_replaces_the_old_index_and_leaves_other_files_alone(saved: Path):
    (saved / "notes.txt").write_text("mine")
    before = len(files(saved))
    ToolIndex.build(SHOP[:2], HashEncoder()).save(saved)
    assert len(ToolIndex.open(saved, HashEncoder())) == 2
    assert len(files(saved)) <= before
    assert (saved / "notes.txt").read_text() == "mine"


def test_a_change_leaves_the_files_of_the_rest_alone(saved: Path):
    before = {path.name: path.stat().st_mtime_ns for path in saved.iterdir() if path.name != "manifest.json"}
    index = ToolIndex.open(saved, HashEncoder())
    # Of the new part no array is like one of the old: that file would be written again, with the same content.
    new = ToolSpec(name="new", description="Search.", toolset="x", parameters={"required": ["person_id"]})
    index.updated([new], without=["forecast"]).save(saved)
    after = {path.name: path.stat().st_mtime_ns for path in saved.iterdir()}
    kept = [name for name in before if not name.startswith("gone-")]
    assert kept
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert sorted(spec.name for spec in ToolIndex.open(saved, HashEncoder()).specs) == [
        "list_orders",
        "new",
        "refundPayment",
        "translate_text",
    ]


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

folder = Path(sys.argv[1])
old = ToolIndex.open(folder, HashEncoder())
grown = old.updated([ToolSpec(name="new")], without=["forecast"])
fresh = ToolIndex.build([ToolSpec(name="new")], HashEncoder())

def killed_after(steps):
    def watch(event, arguments):
        nonlocal steps
        if event in ("open", "os.rename", "os.remove") and str(folder) in str(arguments[0]):
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    return watch

for index, stride in ((fresh, 4), (grown, 1)):
    for last in range(0, 1000, stride):
        old.save(folder)
        child = os.fork()
        if not child:
            sys.addaudithook(killed_after(last))
            index.save(folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(*[spec.name for spec in ToolIndex.open(folder, HashEncoder()).specs], flush=True)
        if not status:
            print("done", flush=True)
            break
"""


def test_a_kill_at_any_step_leaves_the_old_index_or_the_new_one(saved: Path, shop: ToolIndex):
    done = subprocess.run([sys.executable, "-c", KILLED, str(saved)], capture_output=True, text=True, check=True)
    fresh, grown, rest = done.stdout.split("done\n")
    assert rest == ""
    old = " ".join(spec.name for spec in shop.specs)
    for told, new in ((fresh, "new"), (grown, "list_orders new refundPayment translate_text")):
        found = told.splitlines()
        assert len(found) > 10
        assert found == sorted(found, key=[old, new].index)
        assert set(found) == {old, new}


FULL = """
import resource, sys
from pathlib import Path
from deepagent.errors import OperatorError
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.tools import ToolSpec

folder, index = Path(sys.argv[1]), ToolIndex.build([ToolSpec(name=f"tool{row}") for row in range(300)], HashEncoder())
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
failed = 0
for room in (0, 200, 1_000, 3_000, 10_000, 30_000, 100_000, 200_000, 300_000, 400_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        index.save(folder)
    except OperatorError as error:
        assert "free some space" in str(error), error
        failed += 1
        assert len(ToolIndex.open(folder, HashEncoder())) == 4
    else:
        break
print(failed, len(ToolIndex.open(folder, HashEncoder())))
"""


def test_a_full_disk_leaves_the_old_index(saved: Path):
    done = subprocess.run([sys.executable, "-c", FULL, str(saved)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    failed, count = map(int, done.stdout.split())
    assert failed > 5
    assert count == 300
    assert not (saved / ".partial").exists()


def test_a_folder_that_cannot_be_written_is_named(shop: ToolIndex, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be written"):
        shop.save(tmp_path / "file")


def test_a_schema_that_is_not_json_names_its_tool(tmp_path: Path):
    with pytest.raises(ToolDefinitionError, match="schema of odd"):
        ToolIndex.build_in(tmp_path, [ToolSpec(name="odd", parameters={"default": object()})], HashEncoder())
    assert not (tmp_path / "manifest.json").exists()
