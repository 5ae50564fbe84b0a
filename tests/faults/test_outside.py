"""Names that lead elsewhere and texts that are more than text: no file outside the store, and every cell as it was."""

import csv
import random
from pathlib import Path

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from store.protocol import Dedupe
from tests.chance import SOAK
from tests.faults.table import Tallies
from tests.store.builders import SYMBOL, batch, stored, trade

NAMES = [
    "../x", "..", ".", "/", "//", "/etc/passwd", "a/../../b", "..%2f..%2fx", "%2e%2e", "%00", "\0", "A\0B", "a\\..\\b", "C:\\x",
    "\\\\host\\share", "CON", "nul", "COM1", "LPT9.TXT", "AUX.", ".derived", ".", "~", "$HOME", "-rf", "commits.jsonl", "A\n", "A\r", "A\tB",
    "A" * 300, "A" * 33, "\u0391", "\u0399\u0392\u039c", "\uff29\uff22\uff2d", "\u0131bm", "IBM\u200b", "\u202eMBI", "\u00e9", "\U0001f600", "",
]  # fmt: skip
FIRSTS = ["=", "+", "-", "@", "\t", "\r", "'", "\n", "\r\n"]
BITS = [
    *FIRSTS,
    ",",
    '"',
    '""',
    ";",
    " ",
    "A1",
    "cmd|'/c calc'!A0",
    "1e5",
    "NA",
    "null",
    "é",
    "\u202e",
    "\0",
    "\\",
    "\x0b",
    "\x85",
    "\u2028",
]
TURNS = 12 if SOAK else 4


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def test_no_name_reaches_a_file_outside_the_store(tmp_path: Path, tallied: Tallies):
    """Past the border that refuses such names: the store itself keeps to its folder."""
    tally = tallied("names that lead out of the store")
    (tmp_path / "x").write_text("outside")
    folder = tmp_path / "deep" / "store"
    store = CsvStore(folder)
    for turn in range(TURNS):
        for name in filter(None, NAMES):
            try:
                store.append(batch(trade(turn), symbol=name, dedupe=Dedupe.NONE))
            except StoreUnavailable:
                assert len(name.encode()) > 80
            tally.add()
    assert files_below(tmp_path) - {Path("x"), Path("deep"), Path("deep/store")} == {
        Path("deep/store") / path for path in files_below(folder)
    }
    assert (tmp_path / "x").read_text() == "outside"
    tally.settle()


def test_every_text_is_read_back_as_it_was_and_none_is_a_formula(
    tmp_path: Path, rng: random.Random, tallied: Tallies
):
    tally = tallied("texts that are formulas or hold line ends")
    store, rows = CsvStore(tmp_path), []
    for turn in range(10 * TURNS):
        texts = ["".join(rng.choices(BITS, k=rng.randrange(4))) for _ in range(10)] + [
            FIRSTS[turn % len(FIRSTS)]
        ]
        new = [
            trade(100 * turn + n, conditions=text, exchange=rng.choice([text, None]), trade_id=f"{turn}-{n}")
            for n, text in enumerate(texts)
        ]
        rows += new
        assert store.append(batch(*new)).stored == len(new)
        wrong = sum(row != other for row, other in zip(stored(CsvStore(tmp_path)), rows, strict=True))
        tally.add(tried=len(new), acknowledged=len(new), torn=wrong)
        assert store.append(batch(*new)).stored == 0
    with (tmp_path / TRADES.name / SYMBOL / "2025-01-02.csv").open(newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert len(cells) == 9 * (len(rows) + 1)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    tally.settle()


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "\r", "", '"\n"'])
def test_a_text_with_a_line_end_or_nothing_in_it_leaves_its_symbol_readable(tmp_path: Path, text: str):
    store = CsvStore(tmp_path)
    store.append(batch(trade(0, conditions=text)))
    store.append(batch(trade(1, conditions="plain")))
    assert [row["conditions"] for row in stored(CsvStore(tmp_path))] == [text, "plain"]
