"""The house as docs/architecture.md describes it is the house as built."""

import re
import tomllib

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = PAGE.partition("```\n")[2].partition("```")[0]


def test_every_room_on_the_top_floor_is_in_the_picture_and_no_other():
    drawn = {line.split()[0].rstrip("/") for line in PICTURE.splitlines() if re.match(r" {4}\S", line)}
    built = {path.name for path in (ROOT / "deepagent").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert drawn == built - {"__init__.py", "__pycache__"}


def test_imports_run_downwards_as_the_page_says():
    said = re.search(r"`make check` proves it:\n(.*?)\.\n", PAGE, re.DOTALL)[1]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    floors = [set(re.findall(r"`(\w+)`", floor)) for floor in said.split(">")]
    assert floors == [set(layer.split(" | ")) for layer in contract["layers"]]


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r"[\w/]+\.py", PICTURE.replace("(", " "))) | set(re.findall(r"`([\w/]+\.py)`", PAGE))
    for name in named | set(re.findall(r"`(tests/[\w/]+)`", PAGE)):
        found = [*ROOT.glob(name), *(ROOT / "deepagent").glob(f"**/{name}")]
        assert found, name
