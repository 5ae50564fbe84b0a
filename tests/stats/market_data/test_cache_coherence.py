"""Any query of the tree, at any moment of any history: the answer with the cache is the one without."""

import itertools
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
from hypothesis import Phase, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

from stats.caching.response_cache import RESPONSE_CACHE
from stats.delivery.answers import AnswerKey, computed_entry
from stats.market_data.answers.page import page_snapshot
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.query import parse_query
from tests.api_client import Api, answer
from tests.chance import SOAK
from tests.stats.market_data.builders import EQUITY, Market, fill, ingest, tell, timestamp
from tests.stats.market_data.oracle import SECOND_NS, Row
from tests.stats.market_data.representations import MEDIA_TYPES, cursors_of
from tests.stats.market_data.subjects import BARS, DATASETS, DAY_NS, Subject

pytestmark = pytest.mark.system

# Bars of the equity depend on most: on its policy, its hours, its actions.
_OFTEN = [one for one in BARS if one.symbol == EQUITY and one.resolution in {"1m", "1h", "1d", "1w"}]
SUBJECTS = (*DATASETS, *(_OFTEN * 4))
numbers = itertools.count(1)
# What may change from one request to the next.
PARAMETERS = {
    "sort": ["asc", "desc"],
    "limit": ["1", "7", "10000"],
    "hours": ["all", "regular", "extended"],
    "session": ["utc", "exchange"],
    "adjustment": ["raw", "split", "all"],
    "partial": ["include", "exclude"],
    "time": ["rfc3339", "ms", "ns"],
    "fields": ["timestamp", "timestamp,close,open"],
    "rate": ["0.01", "0.02"],
    "format": list(MEDIA_TYPES),
}
changes = [(name, value) for name, values in PARAMETERS.items() for value in values]
disturbances = ("next", "next", "plain", "write", "correct", "act", "tell", "forget", "flush")
moves = st.one_of(*([st.sampled_from(changes)] * 3), st.sampled_from(disturbances))


@dataclass
class History:
    """An installation, and what a caller does to it and asks of it."""

    market: Market
    client: Any
    subject: Subject
    query: dict[str, str]
    cursor: str | None = None

    def change(self, name: str, value: str) -> None:
        """Ask for the same with another value of a parameter, if the dataset takes it."""
        query = {**self.query, name: value}
        if self.market.api.get(self.subject.path, query).status_code == 200:
            self.query = query
        self.look(self.query)

    def plain(self) -> None:
        """Ask for the beginning, in another spelling."""
        self.query = self.subject.parameters
        path = self.subject.path.replace(self.subject.symbol, self.subject.symbol.lower())
        self.look({**self.query, "sort": "asc"}, path)

    def next(self) -> None:
        """The page behind the last answer, if there is one."""
        if self.cursor is not None:
            self.look({**self.query, "cursor": self.cursor})

    def look(self, query: dict[str, str], path: str = "") -> None:
        """Ask, and compare with what is computed for nobody else."""
        response = self.market.api.get(path or self.subject.path, query)
        assert response.status_code == 200, response.content
        name, body = query.get("format", "json"), computed(self.subject, query)
        assert response.content == body
        self.cursor, _ = cursors_of(response, name)

    def write(self) -> None:
        subject, time_ns = self.subject, self.subject.window[0] + next(numbers) * SECOND_NS
        values: Row = {"price": 1.0, "volume": 1.0, "trade_id": f"w{time_ns}"}
        if "quotes" in subject.stored:
            values = {"bid": 1.0}
        elif subject.stored == "open_interest":
            values = {"date": "2024-12-24", "open_interest": 5, "status": "final"}
        self.market.add(subject.stored, subject.symbol, [{"time_ns": time_ns, **values}])

    def correct(self) -> None:
        """Cancel the last trade that was written."""
        rows = self.market.rows[self.subject.stored, self.subject.symbol]
        if self.subject.stored == "trades" and str(rows[-1].get("trade_id", "")).startswith("w"):
            row = rows.pop()
            named = {"timestamp": timestamp(row["time_ns"]), "trade_id": row["trade_id"]}
            response = self.market.api.correct({"action": "cancel", **named}, symbol=self.subject.symbol)
            assert answer(response)["stored"] == 1

    def act(self) -> None:
        """A split, or a reverse split, after all that is asked for."""
        number = next(numbers)
        row = {"time_ns": (20_120 + number) * DAY_NS, "kind": "split", "ratio": (2.0, 0.5)[number % 2]}
        ingest(self.market.api, "corporate_actions", self.subject.symbol, [row])

    def tell(self) -> None:
        """Another bar policy, and other hours, from now on. A walk by trading dates ends with its exchange."""
        self.cursor = None
        policy, exchange = (("us_equities", "XLON"), ("all", "XNYS"))[next(numbers) % 2]
        tell(self.market.api, EQUITY, **{"class": "equity", "exchange": exchange, "bar_policy": policy})

    def forget(self) -> None:
        RESPONSE_CACHE.local.clear()

    def flush(self) -> None:
        if self.client is not None:
            self.client.flushall()


def computed(subject: Subject, query: dict[str, str]) -> bytes:
    """The body that is made without a look at what is kept."""
    dataset = MARKET_DATASETS[subject.dataset]
    asked = parse_query(dataset, subject.market_class, subject.symbol, urlencode(query))
    now_ns = time.time_ns()
    key = AnswerKey(page_snapshot(query=asked, now_ns=now_ns), query.get("format", "json"))
    return computed_entry(key, now_ns).body


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "away"])
def test_any_answer_is_the_one_without_a_cache(request: Any, api: Api, with_redis: bool):
    server = request.getfixturevalue("project_redis") if with_redis else None
    client = redis.Redis(unix_socket_path=str(server.socket)) if server else None
    market = Market(api)
    fill(market)

    @seed(20_241_223)
    @examples(max_examples=300 if SOAK else 4, phases=[Phase.generate])
    @given(subject=st.sampled_from(SUBJECTS), steps=st.lists(moves, min_size=8, max_size=16))
    def holds(subject: Subject, steps: list[Any]) -> None:
        history = History(market, client, subject, subject.parameters)
        for step in steps:
            if isinstance(step, str):
                getattr(history, step)()
            else:
                history.change(*step)

    try:
        holds()
    finally:
        if client is not None:
            client.close()
