"""Answers that differ have different keys, over all that is declared: parameters, facts of instruments, datasets, settings."""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec import structs
from rest_framework import serializers

from calendars import library
from calendars.schedule import SpecialSession
from stats import parameters as kinds
from stats.delivery.answers import AnswerKey, AnswerSnapshot, computed_entry
from stats.exceptions import READ_ERRORS
from stats.market_data.answers.page import page_snapshot
from stats.market_data.datasets import MARKET_DATASETS, MARKET_REPORTS
from stats.market_data.gaps import gaps_serializer, gaps_snapshot, parse_gaps_query
from stats.market_data.query import MARKET_CLASSES, MarketClass, MarketDataset, parse_query
from stats.market_data.reports import parse_report_query
from stats.ohlc import INTERVALS, OHLC_PARAMETERS, IntervalField, ohlc_snapshot, parse_ohlc_query
from stats.options.rates import Rates
from stats.rendering.formats import FORMATS
from store.bar_policies import BAR_POLICIES, EVERY_PRINT, US_EQUITIES
from store.datasets import DATASETS
from store.instruments import Instrument
from tests.api_client import Api
from tests.chance import SOAK
from tests.stats.market_data.builders import (
    CALL,
    CRYPTO,
    EQUITY,
    EQUITY_HOUR,
    FUTURE,
    HOUR_NS,
    SPLIT,
    UNIVERSE,
    Market,
    fill,
    ingest,
    timestamp,
)
from tests.stats.market_data.oracle import SECOND_NS
from trades.stores import market_store
from web.requests.exceptions import RequestError

TakeAt = Callable[[int], AnswerSnapshot]
pytestmark = [pytest.mark.django_db, pytest.mark.system]
SYMBOLS = {
    "equities": (EQUITY, SPLIT),
    "futures": (FUTURE,),
    "options": (CALL,),
    "crypto": (CRYPTO,),
    "fx": (),
    "universes": (UNIVERSE,),
}
NOW_NS = EQUITY_HOUR + HOUR_NS // 2
# When all actions have taken effect.
LATE_NS = NOW_NS + 400 * 24 * HOUR_NS
TIMES = tuple(timestamp(EQUITY_HOUR + at * HOUR_NS // 4) for at in range(4))
# What a field of each kind may say. A parameter of another kind fails the test.
VALUES: dict[type[Any], Any] = {
    kinds.QueryTimeField: lambda _: TIMES[1:3],
    kinds.BoundField: lambda _: (*TIMES, "2024-12-24"),
    kinds.PageLimitField: lambda _: ("1", "7"),
    kinds.ResolutionField: lambda _: ("tick", "1m", "1h", "1d", "1w"),
    IntervalField: lambda _: list(INTERVALS),
    kinds.WordField: lambda each: each.words,
    kinds.SwitchField: lambda _: ("0", "1"),
    kinds.QueryNumberField: lambda _: ("0.01", "0.02"),
    kinds.DurationField: lambda _: ("1s", "1min"),
    kinds.FieldNamesField: lambda _: ("timestamp", "timestamp,volume", "close,timestamp"),
}
ALL = 1_000
OF_OPTIONS = {
    *("underlying", "expiry", "strike", "right", "multiplier", "exercise", "settlement", "currency")
}
# Filled in by the test: a cursor is of the query before it; symbols are in the path.
BY_HAND = {"cursor", "symbols", "symbol"}


@dataclass
class Seen:
    """Every key that was ever made, with its answer's body."""

    bodies: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    answers: int = 0

    def look(
        self, content: AnswerSnapshot, now_ns: int, said: str, *, formats: tuple[str, ...] = ("json",)
    ) -> None:
        for name in formats:
            key = AnswerKey(content, name)
            try:
                body = computed_entry(key, now_ns).body
            except (*READ_ERRORS, RequestError) as error:
                body = repr(error).encode()
            before, by = self.bodies.setdefault(key.cache_key, (body, said))
            assert before == body, f"one key for two answers, of {by} and of {said}: {key.cache_key}"
            self.answers += 1


def values_of(each: serializers.Field[Any, Any, Any, Any]) -> tuple[str, ...]:
    return tuple(VALUES[type(each)](each))


def changes_of(serializer: serializers.Serializer[Any]) -> list[dict[str, str]]:
    """No change, and one for each value of each declared parameter."""
    declared = {name: each for name, each in serializer.fields.items() if name not in BY_HAND}
    return [{}, *({name: value} for name, each in declared.items() for value in values_of(each))]


def contents(
    now_ns: int, *, chance: random.Random | None, about: str
) -> Iterator[tuple[str, AnswerSnapshot]]:
    """What the tree and its dialect answer at a time; with a `chance` some of it, about one symbol if it is named."""
    for said, take in takers(chance, of_bars=ALL if SOAK else 3):
        if about not in said:
            continue
        with suppress(*READ_ERRORS, RequestError):
            yield said, take(now_ns)


def takers(chance: random.Random | None, *, of_bars: int) -> Iterator[tuple[str, TakeAt]]:
    """Every class, symbol and dataset with each of its queries, every report, and the dialect.

    With a `chance` only some of the queries, of bars and revisions so many.
    """
    for path, market_class in MARKET_CLASSES.items():
        for symbol, name in itertools.product(SYMBOLS[path], market_class.datasets):
            dataset = MARKET_DATASETS[name]
            changes = changes_of(dataset.serializer(streamed=False, several=False))
            # More of bars, which depend on most; of revisions, whose cursors keep most, with cursors.
            count = of_bars if name in {"ohlcv", "revisions"} else 3
            for number, change in enumerate(some(chance, changes, count)):
                start = {} if {"last", "expiry"} & set(change) else {"start": TIMES[0]}
                window = {**start, "end": TIMES[3]}
                has_cursors = name == "revisions" or (name == "ohlcv" and number % 2)
                limit = {"limit": "1"} if has_cursors and "last" not in change else {}
                query = urlencode({**window, **limit, **change})
                yield f"{path} {symbol} {name} {query}", partial(page_of, dataset, path, symbol, query)
        for symbol, report in itertools.product(SYMBOLS[path], ("latest", "snapshot", "coverage")):
            if path not in MARKET_REPORTS[report].classes:
                continue
            for query in ("", f"as_of={TIMES[2]}"):
                yield f"{path} {symbol} {report} {query}", partial(report_of, report, path, symbol, query)
        yield from gaps_pins(chance, path, market_class)
    for symbol, change in itertools.product((EQUITY, CRYPTO), some(chance, changes_of(OHLC_PARAMETERS))):
        query = urlencode({"symbol": symbol, **change})
        yield f"ohlc {query}", partial(bars_of, query)


def gaps_pins(
    chance: random.Random | None, path: str, market_class: MarketClass
) -> Iterator[tuple[str, TakeAt]]:
    for symbol in SYMBOLS[path] if "ohlcv" in market_class.datasets else ():
        for change in some(chance, changes_of(gaps_serializer(False))):
            query = urlencode({"start": TIMES[0], "end": TIMES[3], "hours": "all", **change})
            yield f"{path} {symbol} gaps {query}", partial(gaps_at, path, symbol, query)


def some(chance: random.Random | None, changes: list[dict[str, str]], count: int = 3) -> list[dict[str, str]]:
    return changes if chance is None or count >= len(changes) else [{}, *chance.sample(changes, count)]


def page_of(dataset: MarketDataset, path: str, symbol: str, query: str, now_ns: int) -> AnswerSnapshot:
    return page_snapshot(query=parse_query(dataset, path, symbol, query), now_ns=now_ns)


def report_of(report: str, path: str, symbol: str, query: str, now_ns: int) -> AnswerSnapshot:
    return MARKET_REPORTS[report].snapshot(parse_report_query(report, path, symbol, query), now_ns=now_ns)


def gaps_at(path: str, symbol: str, query: str, now_ns: int) -> AnswerSnapshot:
    return gaps_snapshot(parse_gaps_query(path, symbol, query), now_ns=now_ns)


def bars_of(query: str, now_ns: int) -> AnswerSnapshot:
    return ohlc_snapshot(parse_ohlc_query(query), now_ns=now_ns)


def other(instrument: Instrument, name: str) -> Instrument | None:
    """The instrument with another value of a fact; None for one that is its identity."""
    values: dict[str, Any] = {
        "bar_policy": US_EQUITIES.name if instrument.bar_policy == EVERY_PRINT.name else EVERY_PRINT.name,
        "instrument_class": "future" if instrument.instrument_class == "equity" else "equity",
        "exchange": "XLON",
        "currency": "EUR",
        "tick_size": 0.05,
        "volume_kind": "fractional" if instrument.volume_kind == "whole" else "whole",
        "aliases": (f"{instrument.symbol}.A",),
        "underlying": SPLIT,
        "expiry": "2025-02-21",
        "strike": 90.0,
        "right": "put",
        "multiplier": 10.0,
        "exercise": "american",
        "settlement": "am",
        "calendar": "LSE",
        "allow_nonpositive_price": True,
        "unknown_conditions": "refuse",
        "settle": 5.0,
        "name": "Another",
        "base_currency": "EUR",
        "gap_rule": "calendar",
        "special_sessions": (SpecialSession(date(2025, 1, 4)),),
    }
    return None if name == "symbol" else structs.replace(instrument, **{name: values[name]})


def is_changed(symbol: str, name: str) -> bool:
    """Whether a fact of an instrument is changed: in short runs those of options of an option, others of a stock."""
    return symbol in {EQUITY, CALL, SPLIT} if SOAK else symbol == (CALL if name in OF_OPTIONS else SPLIT)


def another_row(market: Market, dataset: str, symbol: str) -> None:
    """One more row like the first one that was stored, an instant after it."""
    first = market.rows[dataset, symbol][0]
    row = {name: value for name, value in first.items() if name not in {"trade_id", "date"}}
    row["time_ns"] = first.get("time_ns", EQUITY_HOUR) + (60 * SECOND_NS if dataset == "bars" else 1)
    if dataset == "open_interest":
        row["date"] = "2025-01-02"
    ingest(market.api, dataset, symbol, [row])


def test_answers_that_differ_have_different_keys(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch):
    market, seen, chance = Market(api), Seen(), random.Random(13)
    fill(market)
    for _ in range(3):
        # Revisions of a bar, so that their pages have cursors.
        another_row(market, "trades", EQUITY)

    def look(now_ns: int = NOW_NS, *, all_: bool = False, about: str = "") -> None:
        for said, each in contents(now_ns, chance=None if all_ else chance, about=about):
            seen.look(each, now_ns, said, formats=tuple(FORMATS) if all_ and "&" not in said else ("json",))

    look(all_=True)
    for now_ns in (NOW_NS + 60 * SECOND_NS, NOW_NS + 3 * HOUR_NS, LATE_NS):
        look(now_ns)
    store, told = market_store(), market_store().declared_instruments()
    for instrument, name in itertools.product(told, Instrument.__struct_fields__):
        changed = other(instrument, name)
        if changed is not None and is_changed(instrument.symbol, name):
            store.set_instrument(changed)
            look(LATE_NS, about=SPLIT if instrument.symbol == SPLIT else CALL)
            store.set_instrument(instrument)
    for dataset, symbol in market.rows:
        another_row(market, dataset, symbol)
        look(about=symbol)
    assert {dataset for dataset, _ in market.rows} == set(DATASETS)
    row = market.rows["trades", EQUITY][0]
    cancel = {"action": "cancel", "timestamp": timestamp(row["time_ns"])}
    cancel |= (
        {"trade_id": row["trade_id"]}
        if "trade_id" in row
        else {"price": row["price"], "volume": row["volume"]}
    )
    market.api.correct(cancel, symbol=EQUITY)
    look(about=EQUITY)
    settings.OPTION_RATES = {"USD": Rates(rate=0.08, dividend_yield=0.01)}
    look(about=CALL)
    changed_policy = replace(US_EQUITIES, name=EVERY_PRINT.name)
    monkeypatch.setitem(BAR_POLICIES, EVERY_PRINT.name, changed_policy)
    look()
    monkeypatch.setattr(library, "versions", lambda: "another")
    look()
    assert seen.answers > (3_000 if SOAK else 2_000)
    assert len(seen.bodies) > (1_000 if SOAK else 700)
