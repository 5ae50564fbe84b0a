"""Cells of class by dataset by format by direction by session by hours, their values against the oracle.

Every one with SOAK=1; otherwise each dataset in each format, with one choice of the others.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from tests.chance import SOAK, chosen_seed
from tests.stats.market_data.builders import Market
from tests.stats.market_data.option_oracle import GREEKS
from tests.stats.market_data.oracle import Row
from tests.stats.market_data.representations import MEDIA_TYPES, Page, decoded
from tests.stats.market_data.subjects import DATASETS, RESOLUTIONS, Subject

pytestmark = pytest.mark.django_db
CHANCE = random.Random(chosen_seed())
FORMATS = tuple(MEDIA_TYPES)
SESSIONS, HOURS, DIRECTIONS = ("utc", "exchange"), ("all", "regular", "extended"), ("asc", "desc")
# How far a quotient, an implied volatility and what follows may lie from the oracle's, as a part of it.
PRECISION = {"vwap": 4e-16, "forward": 1e-12, "dividend_yield": 1e-9, "spot": 1e-15} | dict.fromkeys(
    GREEKS, 1e-8
)
# The ways to ask for a format.
WAYS = ("accept", "format", "suffix")


@dataclass(frozen=True, slots=True)
class Cell:
    """One request of the table."""

    subject: Subject
    format: str
    sort: str
    session: str
    hours: str

    def __str__(self) -> str:
        return f"{self.subject}-{self.format}-{self.sort}-{self.session}-{self.hours}"

    @property
    def way(self) -> str:
        """How it asks for its format: each way comes with every format."""
        return WAYS[(DIRECTIONS.index(self.sort) + HOURS.index(self.hours)) % len(WAYS)]


def cells(subjects: Iterable[Subject], formats: Iterable[str], directions: Iterable[str]) -> list[Cell]:
    """Every request once: what a dataset does not take, it is not asked with."""
    found: dict[Any, Cell] = {}
    for subject, *each in product(subjects, formats, directions, SESSIONS, HOURS):
        cell = Cell(subject, *each)
        shape = cell.subject.shape(cell.session, cell.hours)
        found.setdefault((cell.subject, cell.format, cell.sort, *shape.values()), cell)
    return list(found.values())


def drawn(subjects: Iterable[Subject], formats: Iterable[str], directions: tuple[str, ...]) -> list[Cell]:
    """Each subject in each format once, with a direction, a session and hours that chance chooses."""
    axes = (directions, SESSIONS, HOURS)
    return [Cell(*each, *(CHANCE.choice(axis) for axis in axes)) for each in product(subjects, formats)]


CELLS = cells(DATASETS, FORMATS, DIRECTIONS) if SOAK else drawn(DATASETS, FORMATS, DIRECTIONS)
# How days are cut matters to bars of days and longer ones.
PERIODS = [one for one in RESOLUTIONS if one.is_period]
INTRADAY = [one for one in RESOLUTIONS if not one.is_period]
JSON_CELLS = [
    *cells(PERIODS, ("json",), ("asc",)),
    *(cells if SOAK else drawn)(INTRADAY, ("json",), ("asc",)),
]
subjects = pytest.mark.parametrize("subject", DATASETS, ids=str)


def ask(market: Market, subject: Subject, name: str, way: str = "accept", **parameters: str) -> Any:
    """The response to a request for a format, asked for in one of the ways."""
    query = {**subject.parameters, **parameters}
    if way == "suffix":
        return market.api.get(f"{subject.path}.{name}", query)
    if way == "format":
        return market.api.get(subject.path, {**query, "format": name})
    return market.api.get(subject.path, query, accept=MEDIA_TYPES[name])


def page(market: Market, subject: Subject, name: str, way: str = "accept", **parameters: str) -> Page:
    response = ask(market, subject, name, way, **parameters)
    return decoded(response, name, subject.rows_name, unit_ns=subject.unit_ns)


def assert_rows(found: list[Row], wanted: list[Row]) -> None:
    """Equality of everything, but for the last digits of what is calculated."""
    assert [row.get("timestamp") for row in found] == [row["timestamp"] for row in wanted]
    for row, want in zip(found, wanted, strict=True):
        assert row == {**want, **_close_enough(want)}


def _close_enough(want: Row) -> Row:
    calculated = {name: PRECISION[name] for name in PRECISION if want.get(name) is not None}
    return {name: pytest.approx(want[name], rel=digits, abs=0) for name, digits in calculated.items()}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_cell(market: Market, oracle: Any, cell: Cell):
    shape = cell.subject.shape(cell.session, cell.hours)
    found = page(market, cell.subject, cell.format, cell.way, sort=cell.sort, **shape)
    wanted = oracle(cell.subject, cell.session, cell.hours)
    assert_rows(found.rows, wanted if cell.sort == "asc" else wanted[::-1])
    assert (found.next_cursor, found.prev_cursor) == (None, None)


@pytest.mark.parametrize("cell", JSON_CELLS, ids=str)
def test_a_resolution(market: Market, oracle: Any, cell: Cell):
    found = page(market, cell.subject, "json", **cell.subject.shape(cell.session, cell.hours))
    assert_rows(found.rows, oracle(cell.subject, cell.session, cell.hours))
    assert found.envelope["symbol"] == cell.subject.symbol
    assert found.envelope["resolution"] == cell.subject.resolution


@subjects
def test_every_cell_has_rows(oracle: Any, subject: Subject):
    """The data of each cell tells hours and directions apart, and is small."""
    counts = {hours: len(oracle(subject, "utc", hours)) for hours in HOURS}
    assert 1 < counts["regular"] <= counts["extended"] <= counts["all"] < 1_000
