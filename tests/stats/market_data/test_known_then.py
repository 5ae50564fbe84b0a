"""`knowledge=then` over a history that was posted live: each row is that of `as_of` its end plus `settle`."""

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
from store.datasets import CORPORATE_ACTIONS, INTEREST_RATES, OPTION_QUOTES, QUOTES, TRADES
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
UNDERLYING = "XYZ"
CONTRACTS = [f"XYZ250221{right}{strike}000" for right in "CP" for strike in ("00098", "00102")]
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


def quote(chance: random.Random, symbol: str, at_ns: int) -> Sent:
    """A quote of some venue around a time, with one side or both."""
    names = chance.choice([["bid"], ["ask"], ["bid", "ask"]])
    quote_ns = at_ns + chance.choice([-MINUTE, 0, 1, 20 * SECOND])
    sides = {name: float(chance.randint(90, 110)) for name in names}
    sizes = {f"{name}_size": float(chance.randint(1, 9)) for name in names}
    venue = chance.choice(["XNYS", "ARCX"])
    return row(QUOTES, symbol, quote_ns, quote_ns + delays(chance), exchange=venue, **sides, **sizes)


def history(chance: random.Random, symbol: str) -> Iterator[Sent]:
    """Trades and quotes, some late, some trades corrected."""
    for at_ns in sorted({at_ns for date in DATES for at_ns in times(chance, date)}):
        words, sent_ns = chance.choice([None, None, "odd_lot", "closing_print"]), at_ns + delays(chance)
        price, volume = float(chance.randint(90, 110)), chance.choice([1.0, 10.0, 100.0])
        values = {"price": price, "volume": volume, "conditions": words, "trade_id": f"t{at_ns}"}
        yield row(TRADES, symbol, at_ns, sent_ns, **values)
        if chance.random() < 0.5:
            yield correction(chance, symbol, at_ns, sent_ns)
        yield from (quote(chance, symbol, at_ns) for _ in range(2))


def option_history(chance: random.Random) -> Iterator[Sent]:
    """Quotes of a chain, prices of its underlying, curves and dividends, some of them late or announced before."""
    first_ns = parse_timestamp(HOUR[0])
    for _ in range(40):
        at_ns = first_ns + chance.randrange(1_800) * SECOND
        contract = chance.choice(CONTRACTS)
        bid = chance.randint(20, 60) / 10
        yield row(OPTION_QUOTES, contract, at_ns, at_ns + delays(chance), bid=bid, ask=bid + 0.1)
    for _ in range(20):
        at_ns = first_ns + chance.randrange(1_800) * SECOND
        price = chance.randint(98, 102) + 0.5
        yield row(TRADES, UNDERLYING, at_ns, at_ns + delays(chance), price=price, volume=100.0)
    for _ in range(4):
        at_ns = first_ns + chance.randrange(1_200) * SECOND
        for tenor in ("1M", "1Y"):
            rate = chance.randint(1, 9) / 100
            yield row(INTEREST_RATES, "USD", at_ns, at_ns + delays(chance), tenor=tenor, rate=rate)
    for day in (20, 25, 30):
        ex_ns, announced_ns = parse_timestamp(f"2025-01-{day}"), first_ns + chance.randrange(1_800) * SECOND
        yield row(CORPORATE_ACTIONS, UNDERLYING, ex_ns, announced_ns, kind="dividend", amount=0.5)


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
            market_store().set_instrument(Instrument(UNDERLYING, exchange="XNYS", currency="USD"))
        for each in DECLARED:
            with time_machine.travel(each[0], tick=False):
                market_store().set_instrument(Instrument(MOVED, **each[1]))
        post(
            [
                *history(chance, MOVED),
                *history(chance, SYMBOL),
                *history(chance, PLAIN),
                *option_history(chance),
            ]
        )
        yield api


def rows_of(api: Api, symbol: str, dataset: str, **query: str) -> list[dict[str, Any]]:
    kind = "crypto" if symbol == PLAIN else "equities" if symbol in {SYMBOL, MOVED} else "options"
    span = {"start": START, "end": END}
    if query.get("resolution") in SHORT:
        span = {"start": DENSE, "end": "2025-01-11"}
    elif "resolution" not in query:
        span = dict(zip(("start", "end"), HOUR, strict=True))
    response = api.get(f"{TREE}/{kind}/{symbol}/{dataset}", {**span, **query})
    assert response.status_code == 200, response.content
    page = answer(response)
    rows: list[dict[str, Any]] = page["bars" if dataset == "ohlcv" else dataset]
    return [{name: value for name, value in row.items() if name != "final"} for row in rows]


def key(row: dict[str, Any]) -> tuple[str, str]:
    """What tells a bar from others."""
    return row["timestamp"], row.get("exchange") or ""


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


@pytest.mark.parametrize(("dataset", "case"), each_of(["ohlcv", "quotes"], CASES), ids=str)
def test_a_bar_is_that_of_its_end(live: Api, dataset: str, case: tuple[str, str, dict[str, str]]):
    symbol, resolution, words = case
    now = rows_of(live, symbol, dataset, resolution=resolution, **words)
    then = {
        key(row): row
        for row in rows_of(live, symbol, dataset, resolution=resolution, knowledge="then", **words)
    }
    every = {key(row): row for row in [*now, *then.values()]}
    instrument = market_store().instrument(symbol)
    ends_ns = ends_of(instrument, resolution, [parse_timestamp(time) for time, _ in every], words)
    for at, end_ns in zip(every, ends_ns, strict=True):
        as_of = format_timestamp(end_ns + SETTLE_NS)
        known = rows_of(live, symbol, dataset, resolution=resolution, as_of=as_of, **words)
        assert then.get(at) == {key(row): row for row in known}.get(at), at
    assert resolution in LONG or list(then.values()) != now


@pytest.mark.parametrize(
    ("dataset", "resolution", "words"),
    each_of(["ohlcv", "quotes"], ["1m", "1d", "1w"], [{}, {"hours": "regular"}]),
    ids=str,
)
def test_a_bar_has_the_terms_of_its_end(live: Api, dataset: str, resolution: str, words: dict[str, str]):
    then = rows_of(live, MOVED, dataset, resolution=resolution, knowledge="then", **words)
    wanted: dict[tuple[str, str], Any] = {}
    times = [parse_timestamp(time) for time, _ in DECLARED]
    for from_ns, until_ns, (_, facts) in zip(times, [*times[1:], 2**62], DECLARED, strict=True):
        last = {} if until_ns == 2**62 else {"as_of": format_timestamp(until_ns - 1)}
        bars = rows_of(live, MOVED, dataset, resolution=resolution, **last, **words)
        bars += [bar for bar in then if from_ns <= parse_timestamp(bar["timestamp"]) < until_ns]
        labels = [parse_timestamp(bar["timestamp"]) for bar in bars]
        ends_ns = ends_of(Instrument(MOVED, **facts), resolution, labels, words)
        for bar, end_ns in zip(bars, ends_ns, strict=True):
            if from_ns <= end_ns < until_ns:
                as_of = format_timestamp(end_ns + SETTLE_NS)
                known = rows_of(live, MOVED, dataset, resolution=resolution, as_of=as_of, **words)
                wanted |= {key(row): row for row in known if key(row) == key(bar)}
    assert {key(row): row for row in then} == wanted
    assert [key(row) for row in then] == sorted(wanted, key=lambda each: (parse_timestamp(each[0]), each[1]))


@pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files")
@pytest.mark.parametrize(("words", "resolution"), each_of([{}, {"hours": "regular"}], ["1m", *LONG]), ids=str)
def test_the_reader_has_the_same_terms(live: Api, resolution: str, words: Any):
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    start, end = (DENSE, "2025-01-11") if resolution in SHORT else (START, END)
    bars: Any = reader.bars(MOVED, start, end, resolution, knowledge="then", **words)
    rows = rows_of(live, MOVED, "ohlcv", resolution=resolution, knowledge="then", **words)
    times = [parse_timestamp(row.get("date", row["timestamp"])) for row in rows]
    assert bars.time_ns.tolist() == times
    for name in ("open", "high", "low", "close", "volume", "trade_count"):
        assert getattr(bars, name).tolist() == [row[name] for row in rows]


@pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files")
@pytest.mark.parametrize(("words", "resolution"), each_of([{}, {"hours": "regular"}], ["1m", *LONG]), ids=str)
def test_the_readers_quote_bars_have_the_same_terms(live: Api, resolution: str, words: Any):
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    start, end = (DENSE, "2025-01-11") if resolution in SHORT else (START, END)
    bars: Any = reader.quote_bars(MOVED, start, end, resolution, "XNYS", knowledge="then", **words)
    rows = rows_of(live, MOVED, "quotes", resolution=resolution, knowledge="then", **words)
    rows = [row for row in rows if row["exchange"] == "XNYS"]
    assert bars.time_ns.tolist() == [parse_timestamp(row.get("date", row["timestamp"])) for row in rows]
    for name in ("bid_open", "bid_close", "ask_open", "ask_close", "quote_count"):
        values = [np.nan if row[name] is None else row[name] for row in rows]
        np.testing.assert_array_equal(getattr(bars, name), values)


@pytest.mark.parametrize("symbol", [SYMBOL, PLAIN, MOVED])
@pytest.mark.parametrize("dataset", ["trades", "quotes"])
def test_a_row_is_that_of_its_time(live: Api, dataset: str, symbol: str):
    now = rows_of(live, symbol, dataset)
    then = rows_of(live, symbol, dataset, knowledge="then")
    wanted = []
    times = {row["timestamp"] for row in [*now, *then]}
    for time in sorted(times, key=parse_timestamp):
        at_ns = parse_timestamp(time)
        span = {"start": time, "end": format_timestamp(at_ns + 1)}
        wanted += rows_of(live, symbol, dataset, as_of=format_timestamp(at_ns + SETTLE_NS), **span)
    assert then == wanted
    assert then != now


def test_an_option_is_valued_by_what_was_known(live: Api):
    now = rows_of(live, CONTRACTS[0], "greeks")
    then = rows_of(live, CONTRACTS[0], "greeks", knowledge="then")
    wanted = []
    for time in sorted({row["timestamp"] for row in now}, key=parse_timestamp):
        at_ns = parse_timestamp(time)
        span = {"start": time, "end": format_timestamp(at_ns + 1)}
        wanted += rows_of(live, CONTRACTS[0], "greeks", as_of=format_timestamp(at_ns + SETTLE_NS), **span)
    assert then == wanted
    assert len({row["rate"] for row in then}) > 1
    assert len({row["dividends"] for row in then}) > 1
    assert [row for row in now if row in then] != then


def test_an_interval_of_an_option_has_its_last_quote_that_was_known_in_time(live: Api):
    quotes = {row["timestamp"][:16]: row for row in rows_of(live, CONTRACTS[0], "greeks", knowledge="then")}
    span = {"start": HOUR[0], "end": HOUR[1]}
    for found in rows_of(live, CONTRACTS[0], "greeks", resolution="1m", knowledge="then", **span):
        quote = quotes.pop(found["timestamp"][:16])
        assert found == {**quote, "timestamp": found["timestamp"], "quote_timestamp": quote["timestamp"]}
    assert not quotes


@pytest.mark.parametrize("minute", ["14:30", "14:40", "14:50"])
def test_a_chain_is_valued_by_what_was_known(live: Api, minute: str):
    end_ns = parse_timestamp(f"{DENSE}T{minute}:00Z")
    pages = [
        answer(live.get(f"{TREE}/options/{UNDERLYING}/greeks", {"end": format_timestamp(end_ns), **query}))
        for query in ({"knowledge": "then"}, {"as_of": format_timestamp(end_ns - 1 + SETTLE_NS)})
    ]
    assert pages[0]["greeks"] == pages[1]["greeks"] != []
