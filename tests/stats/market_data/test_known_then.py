"""`knowledge=then` over a history that was posted live: each bar is that of `as_of` its end plus `settle`."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import time_machine
from django.conf import settings

from calendars.schedule import Anchor, Hours, SessionMode
from store import open_store
from store.datasets import TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.log_views.bar_grid import instrument_grid
from store.protocol import Action, Amendment, Append, Correction, Dedupe
from store.resolutions import Resolution
from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import Api, answer
from tests.chance import each_of
from tests.installation import shared_installation
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]
SYMBOL, PLAIN, MOVED = "ACME", "BTC-USD", "MOVE"
SETTLE_NS = 2 * 10**9
TREE = "/api/v1/market-data"
START, END = "2025-01-02", "2025-02-08"
SECOND, MINUTE = 10**9, 60 * 10**9
# A date with many rows within an hour, which a page of ticks may cover.
DENSE, HOUR = "2025-01-10", ("2025-01-10T14:20:00Z", "2025-01-10T15:20:00Z")
DATES = ("2025-01-02", "2025-01-03", "2025-01-10", "2025-01-31", "2025-02-03", "2025-02-07")


@dataclass(frozen=True)
class Sent:
    """A batch of one row or a correction, and when it is committed."""

    at_ns: int
    batch: Append | Amendment


def row(dataset: Dataset, symbol: str, at_ns: int, sent_ns: int, **values: Any) -> Sent:
    full = dict.fromkeys(dataset.schema.names) | {"timestamp": at_ns, **values}
    rows = pa.RecordBatch.from_pylist([full], schema=dataset.schema)
    return Sent(sent_ns, Append(dataset, symbol, rows, "key:1", Dedupe.NONE))


def delays(chance: random.Random) -> int:
    """How late a row comes: in time, just in time, late."""
    return chance.choice([0, SECOND, 2 * SECOND, 2 * SECOND + 1, 90 * SECOND, 50 * MINUTE])


def times(chance: random.Random, date: str) -> list[int]:
    """Times around the edges of bars and of the session."""
    texts = ("14:29:59", "14:30:59.999999999", "14:31:30", "20:59:58", "21:00:01")
    found = [parse_timestamp(f"{date}T{text}Z") for text in texts]
    if date == DENSE:
        first_ns = parse_timestamp(HOUR[0])
        found += [first_ns + chance.randrange(3_000) * SECOND for _ in range(8)]
    return sorted(found)


def correction(chance: random.Random, symbol: str, at_ns: int, sent_ns: int) -> Sent:
    """A correction or a cancel of the trade of a time, perhaps days later."""
    new = chance.choice([{"price": 50.0}, {"volume": 7.0}, {}])
    wait = chance.choice([SECOND, 2 * SECOND, MINUTE, 30 * MINUTE, 3 * 24 * 60 * MINUTE])
    action = Action.CORRECT if new else Action.CANCEL
    amended = Correction(action, at_ns, {"trade_id": f"t{at_ns}"}, new)
    return Sent(sent_ns + wait, Amendment(TRADES, symbol, (amended,), "key:1"))


def history(chance: random.Random, symbol: str) -> Iterator[Sent]:
    """Trades, some late, some corrected."""
    for at_ns in sorted({at_ns for date in DATES for at_ns in times(chance, date)}):
        words, sent_ns = chance.choice([None, None, "odd_lot", "closing_print"]), at_ns + delays(chance)
        price, volume = float(chance.randint(90, 110)), chance.choice([1.0, 10.0, 100.0])
        values = {"price": price, "volume": volume, "conditions": words, "trade_id": f"t{at_ns}"}
        yield row(TRADES, symbol, at_ns, sent_ns, **values)
        if chance.random() < 0.5:
            yield correction(chance, symbol, at_ns, sent_ns)


def post(history: list[Sent]) -> None:
    store = market_store()
    for each in sorted(history, key=lambda each: each.at_ns):
        with time_machine.travel(each.at_ns / 10**9, tick=False):
            store.append(each.batch) if isinstance(each.batch, Append) else store.correct(each.batch)


# When and how an instrument was declared.
DECLARED: list[tuple[str, dict[str, Any]]] = [
    ("2025-01-01T00:00Z", {"exchange": "XNYS", "bar_policy": "us_equities"}),
    (f"{DENSE}T14:40:10Z", {"exchange": "XNYS", "bar_policy": "all"}),
    ("2025-02-01T00:00Z", {"exchange": "XLON", "bar_policy": "all"}),
]


@pytest.fixture(scope="module")
def live(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An installation to which two histories were posted live."""
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("live") / "store") as api:
        chance = random.Random(16)
        with time_machine.travel("2025-01-01T00:00Z", tick=False):
            market_store().set_instrument(Instrument(SYMBOL, exchange="XNYS", bar_policy="us_equities"))
            market_store().set_instrument(Instrument(PLAIN, instrument_class="crypto"))
        for each in DECLARED:
            with time_machine.travel(each[0], tick=False):
                market_store().set_instrument(Instrument(MOVED, **each[1]))
        post(
            [
                *history(chance, MOVED),
                *history(chance, SYMBOL),
                *history(chance, PLAIN),
            ]
        )
        yield api


def bars_of(api: Api, symbol: str, **query: str) -> list[dict[str, Any]]:
    kind = "crypto" if symbol == PLAIN else "equities"
    span = {"start": START, "end": END}
    if query["resolution"] in SHORT:
        span = {"start": DENSE, "end": "2025-01-11"}
    response = api.get(f"{TREE}/{kind}/{symbol}/ohlcv", {**span, **query})
    assert response.status_code == 200, response.content
    rows: list[dict[str, Any]] = answer(response)["bars"]
    return [{name: value for name, value in row.items() if name != "final"} for row in rows]


SHORT, LONG = ("1s", "45s", "1m"), ("7h", "1d", "3d", "2w", "1M", "3M")
CASES: list[tuple[str, str, dict[str, str]]] = [
    *((SYMBOL, resolution, {}) for resolution in ("1m", *LONG)),
    *((SYMBOL, resolution, {"hours": "all"}) for resolution in ("1d", "2w", "1M")),
    (SYMBOL, "1w", {"session": "utc"}),
    (SYMBOL, "1h", {"anchor": "session"}),
    *((PLAIN, resolution, {}) for resolution in ("45s", "1d", "3d", "1M")),
]


def ends_of(instrument: Instrument, resolution: str, labels: list[int], words: dict[str, str]) -> list[int]:
    """When bars with these labels end."""
    grid = instrument_grid(
        instrument,
        Resolution.parse(resolution),
        session=SessionMode(words["session"]) if "session" in words else None,
        hours=Hours(words["hours"]) if "hours" in words else None,
        anchor=Anchor(words.get("anchor", "clock")),
    )
    ends_ns, _ = grid.ends_and_dates(np.array(labels), grid.aligned(min(labels), max(labels) + 1))
    found: list[int] = ends_ns.tolist()
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_bar_is_that_of_its_end(live: Api, case: tuple[str, str, dict[str, str]]):
    symbol, resolution, words = case
    now = bars_of(live, symbol, resolution=resolution, **words)
    then = {
        row["timestamp"]: row
        for row in bars_of(live, symbol, resolution=resolution, knowledge="then", **words)
    }
    every = {row["timestamp"]: row for row in [*now, *then.values()]}
    instrument = market_store().instrument(symbol)
    ends_ns = ends_of(instrument, resolution, [parse_timestamp(time) for time in every], words)
    for at, end_ns in zip(every, ends_ns, strict=True):
        as_of = format_timestamp(end_ns + SETTLE_NS)
        known = bars_of(live, symbol, resolution=resolution, as_of=as_of, **words)
        assert then.get(at) == {row["timestamp"]: row for row in known}.get(at), at
    assert resolution in LONG or list(then.values()) != now


@pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files")
@pytest.mark.parametrize(("words", "resolution"), each_of([{}, {"hours": "regular"}], ["1m", *LONG]), ids=str)
def test_the_reader_has_the_same_terms(live: Api, resolution: str, words: Any):
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    start, end = (DENSE, "2025-01-11") if resolution in SHORT else (START, END)
    bars: Any = reader.bars(MOVED, start, end, resolution, knowledge="then", **words)
    rows = bars_of(live, MOVED, resolution=resolution, knowledge="then", **words)
    times = [parse_timestamp(row.get("date", row["timestamp"])) for row in rows]
    assert bars.time_ns.tolist() == times
    for name in ("open", "high", "low", "close", "volume", "trade_count"):
        assert getattr(bars, name).tolist() == [row[name] for row in rows]


def test_bars_of_then_are_made_by_the_terms_that_were_declared_last(api: Api):
    terms: list[dict[str, Any]] = [
        {"bar_policy": "all"},
        {"bar_policy": "us_equities"},
        {"bar_policy": "us_equities", "settle": 60.0},
    ]
    at_ns = parse_timestamp("2025-01-10T15:00:00Z")
    odd = {"price": 99.0, "volume": 5.0, "conditions": "odd_lot"}
    found = []
    for number, each in enumerate(terms):
        with time_machine.travel(f"2025-01-0{number + 1}T00:00Z", tick=False):
            market_store().set_instrument(Instrument(MOVED, exchange="XNYS", **each))
        if not number:
            post(
                [
                    row(TRADES, MOVED, at_ns, at_ns, price=10.0, volume=1.0),
                    row(TRADES, MOVED, at_ns + 1, at_ns, **odd),
                ]
            )
            post([row(TRADES, MOVED, at_ns + 2, at_ns + 90 * SECOND, price=20.0, volume=1.0)])
        (bar,) = bars_of(api, MOVED, resolution="1m", knowledge="then")
        found.append((bar["high"], bar["volume"]))
    assert found == [(99.0, 6.0), (10.0, 6.0), (20.0, 7.0)]
