"""Numbers of a file that are added, that have signs of sales, or that stand for nothing."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored
from tests.trades.imports.files import HEADER, written

BARS_HEADER = "timestamp,symbol,resolution,open,high,low,close,Up,Down"
BAR = "2024-01-02T14:31:00Z,X,1m,1,1,1,1"
SUM = "volume=Up+Down"


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


@pytest.mark.parametrize(
    ("up", "down", "volume"), [("7000", "5345", 12345.0), ("0.1", "0.2", 0.3), ("1e-8", "3", 3.00000001)]
)
def test_the_volume_may_be_the_sum_of_two_columns(tmp_path: Path, up: str, down: str, volume: float):
    path = written(tmp_path / "x.csv", [f"{BAR},{up},{down}"], BARS_HEADER)
    imported(path, dataset="bars", columns=[SUM])
    assert stored("bars", "volume") == {"X": [("2024-01-02T14:31:00Z", volume)]}


def test_numbers_of_a_sum_may_have_marks_of_thousands(tmp_path: Path):
    path = written(tmp_path / "x.csv", [f'{BAR},"7,000.5","5,345"'], BARS_HEADER)
    imported(path, dataset="bars", columns=[SUM])
    assert stored("bars", "volume") == {"X": [("2024-01-02T14:31:00Z", 12345.5)]}


def test_a_part_of_a_sum_that_is_no_number_is_named(tmp_path: Path):
    path = written(tmp_path / "x.csv", [f"{BAR},7000,many"], BARS_HEADER)
    with pytest.raises(CommandError, match=r"line 2, Up\+Down: must be a number: '7000\+many'"):
        imported(path, dataset="bars", columns=[SUM])


def test_sold_quantities_are_stored_without_sign_if_asked(tmp_path: Path):
    path = written(tmp_path / "X.csv", ["2024-01-02T14:31:00Z,10,-5", "2024-01-02T14:32:00Z,10,7"])
    with pytest.raises(
        CommandError,
        match=r"line 2, volume: must be 0 or more; if the file writes sold .*--absolute volume --preview",
    ):
        imported(path)
    assert "--absolute volume --preview" in imported(path, preview=True)
    imported(path, absolute="volume")
    assert [row[1] for row in stored("trades", "volume")["X"]] == [5.0, 7.0]
    with pytest.raises(CommandError, match="trades has no numbers 'size' to scale, or to read"):
        imported(written(tmp_path / "Y.csv", [], HEADER), absolute="size")


def test_a_negative_volume_of_a_bar_is_no_sale(tmp_path: Path):
    path = written(tmp_path / "X.csv", [f"{BAR},-1,0"], BARS_HEADER)
    with pytest.raises(CommandError) as refused:
        imported(path, dataset="bars", columns=["volume=Up"])
    assert "line 2, Up: must be 0 or more" in str(refused.value)
    assert "--absolute" not in str(refused.value)
