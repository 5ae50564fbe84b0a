"""The number of a folder's format: written before the first log, and compared by whoever opens the folder."""

from pathlib import Path

import pytest

from store import open_store
from store.backends import store_at
from store.csv import CsvStore
from store.csv.files import format_file
from store.datasets import TRADES
from store.exceptions import OtherVersion
from tests.store.builders import SYMBOL, batch, trade

WHAT_TO_DO = "Run the version that wrote it, or begin with an empty folder and database (docs/versions.md)."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CsvStore(tmp_path / "data").append(batch(trade()))
    return tmp_path / "data"


def test_the_first_write_writes_the_number_and_reads_write_nothing(tmp_path: Path) -> None:
    store = CsvStore(tmp_path)
    assert store.declared_instruments() == []
    assert list(tmp_path.iterdir()) == []
    store.append(batch(trade()))
    assert (tmp_path / "format.json").read_text() == '{"format":1}\n'
    assert {path.name for path in tmp_path.iterdir()} == {"format.json", "trades"}


def test_a_log_is_not_written_to_a_folder_that_has_got_another_format(tmp_path: Path) -> None:
    store = CsvStore(tmp_path)
    (tmp_path / "format.json").write_text('{"format":2}')
    with pytest.raises(OtherVersion):
        store.append(batch(trade()))
    assert not (tmp_path / "trades").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "it has data and no format.json"),
        ('{"format":0}', "its format is 0, and this version reads 1"),
        ('{"format":2,"more":[]}\n', "its format is 2, and this version reads 1"),
        ("", "its format.json has no number"),
        ('{"format":"1"}', "its format.json has no number"),
        ("\udcff", "its format.json has no number"),
    ],
    ids=["none", "earlier", "later", "empty", "text", "bytes"],
)
@pytest.mark.parametrize("use", [CsvStore, open_store, store_at], ids=["store", "reader", "url"])
def test_a_folder_of_another_version_is_refused_with_a_sentence(folder: Path, text, reason, use) -> None:
    file = folder / "format.json"
    file.unlink()
    if text is not None:
        file.write_text(text, errors="surrogateescape")
    with pytest.raises(OtherVersion) as refused:
        use(folder)
    assert f"{refused.value}" == f"{folder} was written by another version: {reason}. {WHAT_TO_DO}"


def test_files_of_others_in_a_folder_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "trades").mkdir()
    (tmp_path / "secret_key").write_text("x")
    CsvStore(tmp_path).append(batch(trade()))


def test_a_folder_that_another_process_begins_meanwhile_is_no_other_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the number and its first log between our looks for the one and for the other."""
    has_log = format_file._has_log

    def begun(folder: Path) -> bool:
        monkeypatch.undo()
        CsvStore(tmp_path).append(batch(trade()))
        return has_log(folder)

    monkeypatch.setattr(format_file, "_has_log", begun)
    assert CsvStore(tmp_path).symbols(TRADES) == [SYMBOL]
