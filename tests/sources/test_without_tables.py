"""Commands of sources over a database that has no tables: one sentence."""

from pathlib import Path

import pytest

from tests.patience import PROGRAM_SECONDS
from tests.system.test_fetch_kill import program


@pytest.mark.parametrize(
    "words",
    [("fetch",), ("fetch", "binance", "BTC/USDT", "--start", "2024-01-01"), ("feed", "binance", "BTC/USDT")],
    ids=" ".join,
)
def test_a_database_without_tables_is_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    process = program(tmp_path, *words)
    said = process.communicate(timeout=PROGRAM_SECONDS)[0]
    assert process.returncode == 1
    assert said == "CommandError: the database is not migrated: run `make run` or `manage.py migrate` first\n"
