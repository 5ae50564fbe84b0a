"""A generated store that tests read and do not write to."""

from pathlib import Path

import pytest

from store import open_store
from store.reading import Reader
from tests.store.reading.stores import sample_store


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_store(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def sample(sample_folder: Path) -> Reader:
    return open_store(sample_folder)
