"""The fault suite's table: how often each fault was tried, and what became of what had been acknowledged."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import pytest

from tests.chance import SOAK
from tests.run_report import properties_of

TRIES_IN_A_SOAK = 100
HEADINGS = ("fault", "times tried", "acknowledged", "lost", "torn")
_PROPERTY = "fault"


@dataclass
class Tally:
    """One line of the table, and the sum over the tests that try the same fault.

    acknowledged: batches, counted at each try, that had been acknowledged and were looked for.
    lost: of them, those of which nothing was there. torn: batches that were there in part, twice or altered,
    and answers that were not what the stored rows give.
    """

    fault: str
    tried: int = 0
    acknowledged: int = 0
    lost: int = 0
    torn: int = 0

    def add(self, *, tried: int = 1, acknowledged: int = 0, lost: int = 0, torn: int = 0) -> None:
        self.tried += tried
        self.acknowledged += acknowledged
        self.lost += lost
        self.torn += torn

    def settle(self, *, of: int = 1) -> None:
        """The end of a test, one `of` so many that try the fault: often enough, and nothing was lost or torn."""
        assert self.tried >= (TRIES_IN_A_SOAK / of if SOAK else 1), self
        assert (self.lost, self.torn) == (0, 0), self


Tallies = Callable[[str], Tally]


@pytest.fixture
def tallied(request: pytest.FixtureRequest) -> Iterator[Tallies]:
    """Makes lines of the table; what they say at the end of the test is reported, whatever its outcome."""
    tallies: list[Tally] = []

    def of(fault: str) -> Tally:
        tallies.append(Tally(fault))
        return tallies[-1]

    yield of
    request.node.user_properties += [(_PROPERTY, astuple(tally)) for tally in tallies]


def table(lines: list[tuple[Any, ...]]) -> list[str]:
    """The lines, one per fault, as a table in Markdown."""
    sums: dict[str, Tally] = {}
    for fault, *counts in lines:
        names = ("tried", "acknowledged", "lost", "torn")
        sums.setdefault(fault, Tally(fault)).add(**dict(zip(names, counts, strict=True)))
    cells = [HEADINGS, *(tuple(map(str, astuple(sums[fault]))) for fault in sorted(sums))]
    widths = [max(len(row[place]) for row in cells) for place in range(len(HEADINGS))]
    rows = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    return [rows[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *rows[1:]]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table of the faults that this run tried."""
    lines = properties_of(terminalreporter, _PROPERTY)
    if lines:
        terminalreporter.section("faults")
        terminalreporter.write("\n".join([*table(lines), ""]))
