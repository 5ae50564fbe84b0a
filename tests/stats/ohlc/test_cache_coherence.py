"""A read that follows an acknowledged write never sees less: the cached path against a plain model and no cache."""

import itertools
import threading
import time
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.answers import AnswerKey, computed_entry
from stats.ohlc import INTERVALS, ohlc_snapshot, parse_ohlc_query
from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.timestamps import SECOND_NS, format_timestamp
from tests.api_client import answer, trade
from tests.chance import SOAK
from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from trades.stores import market_store

pytestmark = pytest.mark.system

BASE_NS = 1_735_776_000 * SECOND_NS
DAY = 86_400
RACE_SECONDS = 20.0 if SOAK else 1.0
ENOUGH = 10
symbols = (f"C{number}" for number in itertools.count())

seconds = st.builds(
    lambda day, second: day * DAY + second,
    st.integers(0, 2),
    st.sampled_from([0, 59, 60, 3_599, 3_600, DAY - 1]),
)
writes = st.tuples(st.just("write"), st.lists(st.tuples(seconds, st.integers(1, 9)), min_size=1, max_size=3))
reads = st.tuples(
    st.just("read"),
    st.fixed_dictionaries(
        {"interval": st.sampled_from(list(INTERVALS))},
        optional={"start": seconds, "length": st.sampled_from([1, 60, 3_600, DAY])},
    ),
)
disturbances = st.tuples(st.sampled_from(["forget", "flush", "garbage"]), st.none())
steps = st.lists(st.one_of(writes, writes, reads, reads, reads, disturbances), min_size=4, max_size=25)


def at(second: int) -> str:
    return format_timestamp(BASE_NS + second * SECOND_NS)


def model_bars(
    trades: list[tuple[int, int]], *, interval: str, start: int | None = None, length: int = 0
) -> list[Any]:
    """(start of bar, open, high, low, close, volume) of trades in order of arrival."""
    size = INTERVALS[interval].length_ns // SECOND_NS
    first = 0 if start is None else start // size
    last = 10**9 if start is None else -(-(start + length) // size)
    bars: dict[int, list[int]] = {}
    for second, price in sorted(trades, key=lambda one: one[0]):
        if first <= second // size < last:
            bars.setdefault(second // size, []).append(price)
    return [(at(bar * size), p[0], max(p), min(p), p[-1], len(p)) for bar, p in bars.items()]


def disturb(kind: str, client: redis.Redis | None) -> None:
    if kind == "forget":
        RESPONSE_CACHE.local.clear()
    elif client is not None and kind == "flush":
        client.flushall()
    elif client is not None:
        for key in list(client.scan_iter(match="mktdata:*")):
            client.set(key, b"garbage")


def read(api: Any, symbol: str, query: dict[str, Any]) -> tuple[int, list[Any]]:
    params = {"symbol": symbol, "interval": query["interval"]}
    if "start" in query:
        params |= {"start": at(query["start"]), "end": at(query["start"] + query["length"])}
    response = api.ohlc(params)
    bars = answer(response)["data"] if response.status_code == 200 else []
    assert response.status_code == 200 or answer(response)["code"] in {"no_data", "unknown_symbol"}
    if response.status_code == 200:
        snapshot = ohlc_snapshot(parse_ohlc_query(response.wsgi_request.META["QUERY_STRING"]), now_ns=BASE_NS)
        computed = computed_entry(AnswerKey(snapshot, "json"), BASE_NS)
        assert response.content == computed.body
    return response.status_code, [tuple(bar.values()) for bar in bars]


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "away"])
def test_reads_equal_the_writes_before_them(request, api, with_redis):
    server = request.getfixturevalue("project_redis") if with_redis else None
    client = redis.Redis(unix_socket_path=str(server.socket)) if server else None

    @settings(
        max_examples=400 if SOAK else 10,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps=steps)
    def holds(steps: list[tuple[str, Any]]) -> None:
        symbol, written = next(symbols), []
        for kind, argument in steps:
            if kind == "write":
                rows = [trade(symbol=symbol, timestamp=at(s), price=price, volume=1) for s, price in argument]
                assert api.ingest(*rows, query="dedupe=none").status_code == 200
                written += argument
            elif kind == "read":
                query = (
                    {"length": DAY, **argument} if "start" in argument else {"interval": argument["interval"]}
                )
                assert read(api, symbol, query)[1] == model_bars(written, **query)
            else:
                disturb(kind, client)

    try:
        holds()
    finally:
        if client is not None:
            client.close()


class Race:
    """Feeds that write a symbol and readers that compare each answer with the store, until a deadline."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._began = time.monotonic()
        self.symbol = next(symbols)
        self.acknowledged = [0]
        self.differences: list[tuple[float, ...]] = []

    def goes_on(self, _: object = None) -> bool:
        """Whether its time is not over yet, or it was none: a machine that stands still takes all of it."""
        seconds = time.monotonic() - self._began
        return seconds < RACE_SECONDS or (len(self.acknowledged) <= ENOUGH and seconds < PATIENCE_SECONDS)

    def write(self, feed: int) -> None:
        for number in itertools.takewhile(self.goes_on, itertools.count()):
            second = (feed * 7 + number * 61) % DAY
            row = trade(symbol=self.symbol, timestamp=at(second), volume=1, trade_id=f"{feed}-{number}")
            self.acknowledged.append(answer(self._api.ingest(row))["commit"])

    def look(self) -> None:
        window, length_ns = ALL_TIME, INTERVALS["1h"].length_ns
        while self.goes_on():
            newest = max(self.acknowledged)
            response = self._api.ohlc(symbol=self.symbol, interval="1h")
            number = int(response["X-Commit"].removeprefix("trades=").split("-")[0])
            volume = sum(bar["volume"] for bar in answer(response)["data"])
            uncached = market_store().log(TRADES, self.symbol).at(number).bars(window, length_ns).volume.sum()
            if number < newest or volume != uncached:
                self.differences.append((newest, number, volume, uncached))

    def run(self) -> None:
        threads = [threading.Thread(target=self.write, args=(feed,)) for feed in range(3)]
        threads += [threading.Thread(target=self.look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "away"])
def test_read_beside_writers_has_every_acknowledged_trade(request, api, with_redis):
    if with_redis:
        request.getfixturevalue("project_redis")
    race = Race(api)
    api.ingest(trade(symbol=race.symbol, timestamp=at(0), volume=0))
    race.run()
    assert race.differences == []
    assert len(race.acknowledged) > ENOUGH
    assert sum(bar["volume"] for bar in api.bars(race.symbol)) == len(race.acknowledged) - 1


@pytest.mark.parametrize("redis_timeout", [2.0])
def test_reads_are_right_before_during_and_after_a_redis_outage(api, project_redis):
    def written_and_read(number: int) -> Any:
        api.ingest(trade(timestamp=at(number), volume=1))
        responses = [api.ohlc(symbol="AAPL", end=at(DAY)) for _ in range(3)]
        assert {answer(response)["data"][0]["volume"] for response in responses} == {number + 1}
        return responses[-1]

    assert "X-Degraded" not in written_and_read(0)
    project_redis.freeze()
    assert written_and_read(1)["X-Degraded"] == "redis"
    assert written_and_read(2)["X-Cache"] == "hit"
    project_redis.thaw()
    project_redis.kill()
    assert written_and_read(3).status_code == 200
    project_redis.start()
    assert eventually(lambda: "X-Degraded" not in api.ohlc(symbol="AAPL", end=at(DAY)))
    assert written_and_read(4)["X-Cache"] == "hit"
