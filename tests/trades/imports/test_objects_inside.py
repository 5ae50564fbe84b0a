"""Records whose rows are inside of objects: the refusal shows the form that is read."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


@pytest.mark.parametrize(
    "wrapped", ['{{"trades":[{row},{row}]}}', '{{"type":"trade","data":{row}}}', '{{"a":null,"b":{row}}}']
)
def test_what_the_hint_shows_can_be_imported(tmp_path: Path, wrapped: str):
    row = '{"symbol":"AAPL","timestamp":"2024-01-02T14:30:00Z","price":187.15,"volume":100}'
    (tmp_path / "t.ndjson").write_text(wrapped.format(row=row) + "\n")
    with pytest.raises(
        CommandError, match="holds objects, which are not read: write them one in each line"
    ) as error:
        imported(tmp_path / "t.ndjson")
    assert "--delimiter" not in str(error.value)
    shown = str(error.value).partition("such as ")[2]
    (tmp_path / "rows.ndjson").write_text(f"{shown}\n")
    imported(tmp_path / "rows.ndjson")
    assert stored("trades", "price") == {"AAPL": [("2024-01-02T14:30:00Z", 187.15)]}


def test_options_of_text_are_not_named_for_records(tmp_path: Path):
    (tmp_path / "t.ndjson").write_text('{"value":1}\n')
    with pytest.raises(
        CommandError, match="are missing; the columns are value; look at it with --columns volume=value"
    ):
        imported(tmp_path / "t.ndjson")


def test_documents_that_are_no_answers_of_alpaca_are_refused(tmp_path: Path):
    (tmp_path / "t.json").write_text(
        '{"trades":{"trades":[{"timestamp":"2024-01-02T14:30:00Z","price":1,"volume":1}]}}'
    )
    with pytest.raises(
        CommandError, match=r"not an answer of Alpaca's API.*one row in each line of a file .ndjson"
    ):
        imported(tmp_path / "t.json")
