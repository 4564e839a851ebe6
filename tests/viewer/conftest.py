"""A page over a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from deepagent.runs.store import RunStore
from deepagent.viewer.app import create_app

BASE = "http://127.0.0.1:7861"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "runs.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[RunStore]:
    """The store, as the process that works on runs holds it."""
    with RunStore(path) as opened:
        yield opened


@pytest.fixture
def page(store: RunStore, path: Path) -> Iterator[TestClient]:
    """The page over that store, as another process serves it."""
    with TestClient(create_app(path), base_url=BASE, follow_redirects=False) as client:
        yield client
