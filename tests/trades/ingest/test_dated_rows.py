"""One date, one row: bars of days, weeks and months, and corporate actions, whichever instant of the date is sent."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from store.datasets import BARS, CORPORATE_ACTIONS
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.timestamps import format_timestamp
from tests.api_client import answer, problem
from trades.stores import market_store

NEW_YORK, SYDNEY, COIN, NAMELESS = "NYC", "SYD", "COIN-USD", "PLAIN"
PRICES = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 100.0}
CLASSES = {NEW_YORK: "equities", SYDNEY: "equities", COIN: "crypto"}

# A symbol, a resolution, the date by which its bar is stored, and instants that mean the same date.
SAME: list[tuple[str, str, str, tuple[str, ...]]] = [
    (NEW_YORK, "1d", "2024-12-20", ("2024-12-20", "2024-12-20T05:00:00Z", "2024-12-20T14:30:00Z", "2024-12-20T00:00:00-05:00")),
    (NEW_YORK, "1d", "2024-07-05", ("2024-07-05", "2024-07-05T04:00:00Z", "2024-07-05T13:30:00Z", "2024-07-05T21:00:00Z")),
    (SYDNEY, "1d", "2024-12-20", ("2024-12-20", "2024-12-19T13:00:00Z", "2024-12-19T23:00:00Z", "2024-12-20T05:00:00Z")),
    (COIN, "1d", "2024-12-20", ("2024-12-20", "2024-12-20T05:00:00Z", "2024-12-20T23:59:00Z")),
    (NAMELESS, "1d", "2024-12-20", ("2024-12-20", "2024-12-20T05:00:00Z", "2024-12-20T14:30:00Z")),
    # Monday is a holiday, so the week's first session is on Tuesday. A week that begins on Sunday is the one to come.
    (NEW_YORK, "1w", "2024-01-15", ("2024-01-15", "2024-01-16T14:30:00Z", "2024-01-16", "2024-01-14", "2024-01-15T05:00:00Z")),
    (SYDNEY, "1w", "2024-12-16", ("2024-12-16", "2024-12-15T23:00:00Z", "2024-12-15")),
    (COIN, "1w", "2024-12-16", ("2024-12-16", "2024-12-18T05:00:00Z", "2024-12-22")),
    # The first of January is a holiday, and the first of June and of September were Saturday and Sunday.
    (NEW_YORK, "1M", "2024-01-01", ("2024-01-01", "2024-01-02T14:30:00Z", "2024-01-01T05:00:00Z")),
    (NEW_YORK, "1M", "2024-06-01", ("2024-06-01", "2024-06-03T13:30:00Z")),
    (SYDNEY, "1M", "2024-02-01", ("2024-02-01", "2024-01-31T23:00:00Z")),
    (COIN, "1M", "2024-09-01", ("2024-09-01", "2024-09-03")),
]  # fmt: skip


@pytest.fixture(autouse=True)
def declared(api: Any) -> None:
    store = market_store()
    store.set_instrument(Instrument(NEW_YORK, instrument_class="equity", exchange="XNYS"))
    store.set_instrument(Instrument(SYDNEY, instrument_class="equity", exchange="XASX"))
    store.set_instrument(Instrument(COIN, instrument_class="crypto", volume_kind="fractional"))


def send(api: Any, dataset: Dataset, *rows: dict[str, Any], query: str = "", **headers: str) -> Any:
    path = f"/api/v1/{dataset.name.replace('_', '-')}/ingest"
    return api.ingest(orjson.dumps({dataset.name: rows}), path=path, query=query, **headers)


def bar(symbol: str, resolution: str, timestamp: str, **values: float) -> dict[str, Any]:
    return {"symbol": symbol, "resolution": resolution, "timestamp": timestamp, **PRICES, **values}


def action(timestamp: str, kind: str = "split", **values: Any) -> dict[str, Any]:
    values = values or {"ratio": 5}
    return {"symbol": NEW_YORK, "timestamp": timestamp, "kind": kind, **values}


def times(dataset: Dataset, symbol: str) -> list[str]:
    rows = market_store().log(dataset, symbol).at().rows(ALL_TIME)
    return [format_timestamp(at) for at in rows.column("timestamp").to_pylist()]


class TestBars:
    @pytest.mark.parametrize(("symbol", "resolution", "date", "instants"), SAME)
    def test_every_instant_of_a_date_is_one_bar(
        self, api: Any, symbol: str, resolution: str, date: str, instants: Sequence[str]
    ):
        for number, instant in enumerate(instants):
            response = send(api, BARS, bar(symbol, resolution, instant))
            assert answer(response)["stored"] == (not number), instant
            other = send(api, BARS, bar(symbol, resolution, instant, volume=101.0))
            assert problem(other) == (422, "row_conflict"), instant
        assert times(BARS, symbol) == [f"{date}T00:00:00Z"]

    def test_twice_in_one_batch_counts_once(self, api: Any):
        batch = [bar(NEW_YORK, "1d", each) for each in SAME[0][3]]
        assert answer(send(api, BARS, *batch))["stored"] == 1
        batch[1]["close"] = 10.5
        assert problem(send(api, BARS, *batch)) == (422, "row_conflict")

    def test_days_beside_each_other_and_bars_within_a_day_keep_their_times(self, api: Any):
        days = ["2024-12-19", "2024-12-20T05:00:00Z", "2024-12-23T14:30:00Z"]
        send(api, BARS, *(bar(NEW_YORK, "1d", day) for day in days))
        assert times(BARS, NEW_YORK) == [f"2024-12-{day}T00:00:00Z" for day in (19, 20, 23)]
        send(
            api,
            BARS,
            bar(NAMELESS, "1h", "2024-12-20T14:00:00Z"),
            bar(NAMELESS, "12h", "2024-12-20T12:00:00Z"),
        )
        assert times(BARS, NAMELESS) == ["2024-12-20T12:00:00Z", "2024-12-20T14:00:00Z"]

    @pytest.mark.parametrize("resolution", ["1d", "1w", "1M"])
    @pytest.mark.parametrize("symbol", CLASSES)
    @pytest.mark.parametrize("query", [{}, {"hours": "all"}, {"session": "utc"}])
    def test_what_the_api_returned_is_a_duplicate(
        self, api: Any, symbol: str, resolution: str, query: dict[str, str]
    ):
        sent = ["2024-01-01" if symbol == COIN else "2024-01-02", "2024-02-01"]
        if resolution == "1w":
            sent = ["2024-01-01", "2024-01-15"]
        for number, date in enumerate(sent):
            send(api, BARS, bar(symbol, resolution, date, volume=100.0 + number))
        asked = {"resolution": resolution, "start": "2023-12-25", "end": "2024-02-29"}
        asked |= {} if symbol == COIN else query
        path = f"/api/v1/market-data/{CLASSES[symbol]}/{symbol}/ohlcv"
        read = answer(api.get(path, asked))["bars"]
        assert [each["volume"] for each in read] == [100, 101]
        back = [{**each, "symbol": symbol, "resolution": resolution} for each in read]
        found = answer(send(api, BARS, *back, query="unknown=ignore"))
        assert (found["received"], found["duplicates"]) == (2, 2)
        assert answer(api.get(path, asked))["bars"] == read

    def test_the_open_day_is_replaced_by_any_instant_of_it(self, api: Any):
        for number, instant in enumerate(SAME[0][3]):
            row = bar(NEW_YORK, "1d", instant, volume=100.0 + number)
            found = answer(send(api, BARS, row, query="on_conflict=replace"))
            assert (found["stored"], found["replaced"]) == ((0, 1) if number else (1, 0))
        rows = market_store().log(BARS, NEW_YORK).at().rows(ALL_TIME)
        assert rows.column("volume").to_pylist() == [103.0]

    def test_the_key_of_a_request_covers_the_date(self, api: Any):
        first = send(api, BARS, bar(NEW_YORK, "1d", "2024-12-20"), Idempotency_Key="k")
        again = send(api, BARS, bar(NEW_YORK, "1d", "2024-12-20T14:30:00Z"), Idempotency_Key="k")
        assert (answer(again), again["Idempotency-Replayed"]) == (answer(first), "true")

    def test_files_of_two_vendors_do_not_add_up(self, api: Any, tmp_path: Path):
        """Polygon writes midnight in New York, Yahoo the date."""
        text = "timestamp,open,high,low,close,volume\n{},187.15,188.44,183.885,185.64,{}\n"
        files = {"2024-01-02T05:00:00Z": 81964874, "2024-01-02": 82488700}
        for number, (timestamp, volume) in enumerate(files.items()):
            path = tmp_path / f"{number}.csv"
            path.write_text(text.format(timestamp, volume))
            options = {"dataset": "bars", "resolution": "1d", "symbol": NEW_YORK, "yes": True}
            if number:
                with pytest.raises(CommandError, match=r"1\.csv, line 2, timestamp"):
                    call_command("import", str(path), **options)
            else:
                call_command("import", str(path), **options)
        rows = market_store().log(BARS, NEW_YORK).at().rows(ALL_TIME)
        assert rows.column("volume").to_pylist() == [81964874]


class TestActions:
    @pytest.mark.parametrize(
        "values", [{"ratio": 5}, {"kind": "dividend", "amount": 0.25, "currency": "USD"}]
    )
    def test_every_instant_of_a_date_is_one_action(self, api: Any, values: dict[str, Any]):
        for number, instant in enumerate(SAME[0][3]):
            assert answer(send(api, CORPORATE_ACTIONS, action(instant, **values)))["stored"] == (not number)
        assert times(CORPORATE_ACTIONS, NEW_YORK) == ["2024-12-20T00:00:00Z"]

    def test_a_split_that_was_sent_twice_is_applied_once(self, api: Any):
        for date, price in (("2024-12-18", 250.0), ("2024-12-20", 50.0)):
            prices = dict.fromkeys(("open", "high", "low", "close"), price)
            send(api, BARS, bar(NEW_YORK, "1d", date, **prices))
        for instant in ("2024-12-20", "2024-12-20T05:00:00Z"):
            send(api, CORPORATE_ACTIONS, action(instant))
        asked = {"resolution": "1d", "start": "2024-12-16", "end": "2024-12-21", "adjustment": "split"}
        bars = answer(api.get(f"/api/v1/market-data/equities/{NEW_YORK}/ohlcv", asked))["bars"]
        assert [(each["close"], each["volume"]) for each in bars] == [(50.0, 500), (50.0, 100)]

    def test_a_kind_twice_on_one_date_needs_an_id(self, api: Any):
        first = action("2024-12-20", "dividend", amount=0.25)
        for values in ({"amount": 0.5}, {"amount": 0.25, "currency": "USD"}):
            send(api, CORPORATE_ACTIONS, first)
            second = action("2024-12-20T05:00:00Z", "dividend", **values)
            assert problem(send(api, CORPORATE_ACTIONS, second)) == (422, "row_conflict")
            assert problem(send(api, CORPORATE_ACTIONS, first, second)) == (422, "row_conflict")
        for name, amount in (("gains", 0.5), (2, 0.25)):
            second = action("2024-12-20T05:00:00Z", "dividend", amount=amount, action_id=name)
            assert answer(send(api, CORPORATE_ACTIONS, second))["stored"] == 1
            assert answer(send(api, CORPORATE_ACTIONS, second))["duplicates"] == 1
            assert problem(send(api, CORPORATE_ACTIONS, second | {"amount": 1})) == (422, "row_conflict")
        rows = market_store().log(CORPORATE_ACTIONS, NEW_YORK).at().rows(ALL_TIME).to_pylist()
        assert [(each["action_id"], each["amount"]) for each in rows] == [
            (None, 0.25),
            ("gains", 0.5),
            ("2", 0.25),
        ]

    def test_batches_that_differ_in_an_id_alone_are_two(self, api: Any):
        one, two = (action("2024-12-20", "dividend", amount=0.25, action_id=name) for name in ("a", "b"))
        for each in (one, two):
            assert answer(send(api, CORPORATE_ACTIONS, each))["stored"] == 1
        send(api, CORPORATE_ACTIONS, one, Idempotency_Key="k")
        assert problem(send(api, CORPORATE_ACTIONS, two, Idempotency_Key="k")) == (
            422,
            "idempotency_key_reused",
        )

    def test_another_kind_on_the_date_needs_no_id(self, api: Any):
        send(api, CORPORATE_ACTIONS, action("2024-12-20"))
        special = action("2024-12-20", "special_dividend", amount=1)
        assert answer(send(api, CORPORATE_ACTIONS, special))["stored"] == 1


class TestCorrections:
    """The row of a date is found by every instant of it."""

    @pytest.mark.parametrize("stored", ["2024-12-20", "2024-12-20T05:00:00Z"])
    @pytest.mark.parametrize("instant", SAME[0][3])
    def test_of_a_bar(self, api: Any, stored: str, instant: str):
        send(api, BARS, bar(NEW_YORK, "1d", stored))
        correction = {"action": "correct", "timestamp": instant, "resolution": "1d", "new_close": 10.5}
        assert answer(self._correct(api, "bars", correction))["stored"] == 1
        assert market_store().log(BARS, NEW_YORK).at().rows(ALL_TIME).column("close").to_pylist() == [10.5]
        assert answer(send(api, BARS, bar(NEW_YORK, "1d", instant, close=10.5)))["duplicates"] == 1

    def test_of_one_of_two_actions(self, api: Any):
        first = action("2024-12-20", "dividend", amount=0.25)
        send(api, CORPORATE_ACTIONS, first, first | {"action_id": "gains", "amount": 0.5})
        named = {"action": "correct", "timestamp": "2024-12-20T14:30:00Z", "kind": "dividend"}
        correction = named | {"action_id": "gains", "new_amount": 0.75}
        assert answer(self._correct(api, "corporate-actions", correction))["stored"] == 1
        rows = market_store().log(CORPORATE_ACTIONS, NEW_YORK).at().rows(ALL_TIME).to_pylist()
        assert [(each["action_id"], each["amount"]) for each in rows] == [(None, 0.25), ("gains", 0.75)]
        again = first | {"action_id": "gains", "amount": 0.75}
        assert answer(send(api, CORPORATE_ACTIONS, again))["duplicates"] == 1

    @staticmethod
    def _correct(api: Any, path: str, correction: dict[str, Any]) -> Any:
        return api.correct(correction, symbol=NEW_YORK, path=f"/api/v1/{path}/corrections")
