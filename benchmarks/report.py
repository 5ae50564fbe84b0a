"""A benchmark is a function of `Sizes` that yields `Ratio`s and `Note`s. `table` writes them as Markdown."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


class UnexpectedAnswer(Exception):
    """An answer differs from what the benchmark expects."""


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
    logs: int  # symbols that get small batches
    small_batches: int  # batches of 100 rows for each symbol
    live_seconds: int  # seconds of load of the live feed in a round
    orders: int  # stored orders of an account


FULL = Sizes(
    rounds=3,
    seconds=2,
    small_rows=1_000_000,
    large_rows=2_000_000,
    batches=10,
    peer_batches=3,
    symbols=200,
    import_rows=2_000_000,
    trades=10_000_000,
    logs=2_000,
    small_batches=5,
    live_seconds=4,
    orders=30_000,
)
QUICK = Sizes(
    rounds=1,
    seconds=1,
    small_rows=50_000,
    large_rows=200_000,
    batches=3,
    peer_batches=1,
    symbols=20,
    import_rows=100_000,
    trades=400_000,
    logs=40,
    small_batches=3,
    live_seconds=2,
    orders=2_000,
)


@dataclass(frozen=True, slots=True)
class Goal:
    """Bounds of a ratio or, with a unit, of the figure itself."""

    least: float | None = None
    most: float | None = None
    unit: str = ""

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.least is None or self.most is None:
            bound, sign = (self.most, "≤") if self.least is None else (self.least, "≥")
            return f"{sign} {round(bound, 3):,.10g} {self.unit}".rstrip()
        return f"{self.least:g} to {self.most:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure and another one beside it, both in `unit`. rival: the other one is another program's.

    More is better if the unit ends in `/s`; otherwise less is.
    """

    name: str
    here: float
    beside: float | None
    unit: str
    goal: Goal | None = None
    rival: bool = False

    @property
    def ratio(self) -> float | None:
        return self.here / self.beside if self.beside else None

    @property
    def outcome(self) -> str:
        """Whether the goal is met, and whether this project loses against another program."""
        value = self.here if self.goal and self.goal.unit else self.ratio
        words = []
        if self.goal and value is not None:
            words.append("met" if self.goal.met(value) else "**missed**")
        if self.rival and self.ratio is not None:
            wins = self.ratio >= 1 if self.unit.endswith("/s") else self.ratio <= 1
            words.append("wins" if wins else "**loses**")
        return ", ".join(words)

    def cells(self) -> tuple[str, ...]:
        """Return the cells of its row in the table."""
        ratio = "" if self.ratio is None else _ratio(self.ratio)
        figures = (
            f"{_number(each)} {self.unit}" if each is not None else "" for each in (self.here, self.beside)
        )
        return (self.name, *figures, ratio, str(self.goal or ""), self.outcome)

    def __str__(self) -> str:
        return "  ".join(cell for cell in self.cells() if cell)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence or a table below the ratios."""

    text: str

    def __str__(self) -> str:
        return self.text


Row = Ratio | Note
Measure = Callable[[Sizes], Iterator[Row]]

_HEADER = ("case", "here", "beside it", "ratio", "goal", "outcome")
_ALIGNED = ("---", "--:", "--:", "--:", "---", "---")


def table(rows: Iterable[Row]) -> str:
    """Return the ratios as a Markdown table, then the notes, one paragraph each. Tables of text are fenced."""
    rows = list(rows)
    cells = [_HEADER, _ALIGNED, *(row.cells() for row in rows if isinstance(row, Ratio))]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    notes = [row.text for row in rows if isinstance(row, Note)]
    paragraphs = [f"```\n{note}\n```" if "\n" in note else note for note in notes]
    return "\n\n".join(["\n".join(lines), *paragraphs])


def _ratio(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 20 else f"{value:,.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
