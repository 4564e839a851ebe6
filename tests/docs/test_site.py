"""The documentation site: built with warnings as errors, whole, and without anything from other hosts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("zensical", reason="the site needs the extra `docs`")
ROOT = Path(__file__).parent.parent.parent
FETCHED = re.compile(r"""<(?:script|img|iframe|source|video|link(?![^>]*rel="?(?:canonical|prev|next)))\b[^>]*?
                         \b(?:src|href)=["']?(https?:)?//""", re.VERBOSE)  # fmt: skip
LOADED_IF = re.compile(r'class="(mermaid|pyodide|glightbox)')
"""What the theme's script would fetch from elsewhere, if a page asked for it."""


@pytest.fixture(scope="module")
def site() -> Path:
    for command in (["scripts/docs_reference.py"], ["-m", "zensical", "build", "--strict", "--clean"]):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / ".site"


def test_no_page_fetches_anything_from_another_host(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not (found := FETCHED.search(text)), f"{page.name}: {found[0]}"
        assert not (found := LOADED_IF.search(text)), f"{page.name}: {found[0]}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", sheet.read_text(encoding="utf-8")), sheet.name


def test_every_page_is_in_the_navigation(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    reachable = set(re.findall(r'href="?(?:\./)?([\w/-]+\.html)', home))
    pages = {str(path.relative_to(ROOT / "docs").with_suffix(".html")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages - {"index.html"} <= reachable


def test_the_reference_knows_every_public_name_command_and_setting(site):
    import deepagent
    from deepagent.config import effective

    python, cli, settings = ((site / f"reference/{name}.html").read_text() for name in ("python", "cli", "settings"))
    for name in deepagent.__all__:
        assert f".{name}" in python, name
    for command in ("run", "runs fork", "index build", "config show"):
        assert f"deepagent {command}" in cli
    for key, _, _ in effective(environ={}).rows():
        assert ".".join(key) in settings, key
