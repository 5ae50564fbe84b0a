"""A channel of bars has one name, however its parameters are written, so that its bars are computed once."""

from itertools import product
from urllib.parse import urlencode

import pytest

from calendars.exceptions import NoExchange
from stats.live.channels import Channel, parse_channel
from store.instruments import Instrument
from store.log_views.bar_grid import instrument_grid
from trades.stores import market_store

SESSIONS, HOURS, ANCHORS = (
    (None, "utc", "exchange"),
    (None, "all", "regular", "extended"),
    (None, "clock", "session"),
)


@pytest.fixture(autouse=True)
def _instruments(default_store) -> None:
    market_store().set_instruments(
        [
            Instrument("LISTED", instrument_class="equity", exchange="XNYS"),
            Instrument("LOOSE", instrument_class="equity"),
            Instrument("COIN-USD", instrument_class="crypto"),
        ]
    )


def channel(text: str) -> Channel:
    (found,) = parse_channel(text)
    assert isinstance(found, Channel)
    return found


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("bars.1m:LISTED?hours=all", "bars.1m:LISTED"),
        ("bars.1m:LISTED?session=utc", "bars.1m:LISTED"),
        ("bars.60s:LISTED", "bars.1m:LISTED"),
        ("bars.3mo:LISTED", "bars.3M:LISTED"),
        ("bars.1m:listed?session=exchange&anchor=clock", "bars.1m:LISTED"),
        ("bars.1m:LISTED?anchor=session", "bars.1m:LISTED"),
        ("bars.1m:LISTED?session=utc&hours=regular", "bars.1m:LISTED?hours=regular"),
        ("bars.1h:LISTED?hours=regular&anchor=session", "bars.1h:LISTED?anchor=session&hours=regular"),
        ("bars.1d:LISTED?session=exchange&hours=regular", "bars.1d:LISTED"),
        ("bars.1d:LISTED?hours=all&session=utc", "bars.1d:LISTED?session=utc"),
        ("bars.1w:LISTED?hours=all", "bars.1w:LISTED?hours=all"),
        ("bars.1d:LOOSE?session=utc&hours=all", "bars.1d:LOOSE"),
        ("bars.1d:COIN-USD?hours=regular&session=exchange", "bars.1d:COIN-USD"),
    ],
)
def test_parameters_that_change_nothing_are_left_out(asked: str, name: str):
    assert channel(asked).name == name
    assert channel(name).name == name


@pytest.mark.parametrize("resolution", ["1s", "45s", "7m", "1h", "1d", "3d", "1w", "3M"])
def test_as_many_names_as_there_are_different_bars(resolution: str):
    instrument, names, grids = market_store().instrument("LISTED"), set(), set()
    for values in product(SESSIONS, HOURS, ANCHORS):
        asked = {
            name: value for name, value in zip(("session", "hours", "anchor"), values, strict=True) if value
        }
        found = channel(f"bars.{resolution}:LISTED?{urlencode(asked)}")
        query = found.bars
        assert query is not None
        grid = instrument_grid(
            instrument, query.resolution, session=query.session, hours=query.hours, anchor=query.anchor
        )
        names.add(found.name)
        grids.add((grid.hours, grid.period_calendar, grid.anchor_calendar))
    assert len(names) == len(grids) <= 6


def test_hours_that_are_not_known_are_refused():
    with pytest.raises(NoExchange):
        channel("bars.1m:LOOSE?hours=regular")
