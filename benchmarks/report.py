"""A benchmark is a function of `Sizes` that yields `Ratio`s and `Note`s. `table` formats them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a run measures: numbers of rounds, rows, batches, symbols and dates."""

    rounds: int
    seconds: int  # seconds of load in a round
    small_rows: int  # rows that are stored before ingest is measured
    large_rows: int
    batches: int  # batches of 10,000 rows in a round
    peer_batches: int  # batches sent to the plain peer, which each stored row makes slower
    symbols: int  # symbols read in process
    import_rows: int  # rows of the imported file
    trades: int  # trades of one symbol with a long history
    logs: int  # symbols of the store of many symbols
    dates: int  # dates of each of these symbols


FULL = Sizes(
    rounds=5,
    seconds=5,
    small_rows=1_000_000,
    large_rows=5_000_000,
    batches=10,
    peer_batches=3,
    symbols=200,
    import_rows=2_000_000,
    trades=10_000_000,
    logs=2_000,
    dates=250,
)
QUICK = Sizes(
    rounds=3,
    seconds=2,
    small_rows=100_000,
    large_rows=400_000,
    batches=5,
    peer_batches=2,
    symbols=40,
    import_rows=200_000,
    trades=400_000,
    logs=50,
    dates=20,
)


@dataclass(frozen=True, slots=True)
class Ratio:
    """`here` divided by `peer`, both in `unit`. wanted: the target, as text."""

    name: str
    here: float
    peer: float
    unit: str
    wanted: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the ratio's row in the table."""
        ratio = self.here / self.peer
        return (
            self.name,
            _number(self.here),
            _number(self.peer),
            self.unit,
            f"{ratio:.2f}" if ratio < 20 else f"{ratio:.0f}",
            self.wanted,
        )

    def __str__(self) -> str:
        return "  ".join(self.cells()[:5])


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence or a table below the ratios."""

    text: str

    def __str__(self) -> str:
        return self.text


Row = Ratio | Note
Measure = Callable[[Sizes], Iterator[Row]]

_HEADER = ("what", "here", "peer", "unit", "ratio", "wanted")
_RIGHT_ALIGNED = {1, 2, 4}


def table(rows: list[Row]) -> str:
    """Return the ratios as an aligned table, then the notes."""
    cells = [_HEADER, *(row.cells() for row in rows if isinstance(row, Ratio))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if number in _RIGHT_ALIGNED else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([*lines, *(str(row) for row in rows if isinstance(row, Note))])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
