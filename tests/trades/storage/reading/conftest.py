"""A generated store that tests read and do not write to."""

from pathlib import Path

import pytest

from tests.trades.storage.reading.stores import sample_store
from trades.storage import open_store
from trades.storage.reading import Reader


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_store(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def sample(sample_folder: Path) -> Reader:
    return open_store(sample_folder)
