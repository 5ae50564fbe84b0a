"""A full disk, no more handles, no permission: real ones, in a process of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PRIOR_ROWS, ALL_ROWS = 20, 100


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, Any]]:
    """What the process answered; its folder is one that every user may enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    process = subprocess.run(
        [sys.executable, "-m", "tests.trades.storage.csv.limited_process", str(folder)],
        cwd=Path(__file__).parents[4],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    yield json.loads(process.stdout)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("limit", "error", "at_least"), [("space", "StoreFull", 20), ("handles", "StoreUnavailable", 3)]
)
def test_a_batch_that_meets_a_limit_is_refused_whole_until_there_is_room(
    answers: dict[str, Any], limit: str, error: str, at_least: int
):
    *refused, accepted = answers[limit]["tries"]
    assert len(refused) >= at_least
    assert refused == [[error, PRIOR_ROWS, PRIOR_ROWS]] * len(refused)
    assert accepted == [None, ALL_ROWS, ALL_ROWS]


def test_a_folder_that_may_not_be_written_is_read_and_refuses_batches(answers: dict[str, Any]):
    assert answers["permission"]["tries"] == [["StoreUnavailable", PRIOR_ROWS, PRIOR_ROWS]] * 2


@pytest.mark.parametrize("limit", ["space", "handles", "permission"])
def test_the_batch_is_there_once_when_the_limit_is_gone(answers: dict[str, Any], limit: str):
    assert (answers[limit]["commit"], answers[limit]["rows"]) == (2, ALL_ROWS)
