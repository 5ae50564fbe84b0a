"""The event loop gives Django's own answers, only sooner: same status, headers, body, record and charge."""

from functools import partial
from itertools import count
from typing import Any

import pytest

from tests.front.front_server import Reply, eventually
from tests.system.batches import Batch
from tests.system.clients import INGEST, OHLC, Client, connected
from tests.system.held_reads import FORCES_DJANGO, SYMBOL
from tests.system.installation import UNLIMITED, Installation
from tests.system.undisturbed import undisturbed, while_limits_are_shared

pytestmark = pytest.mark.xdist_group("installation")

ATTEMPTS = 10
_numbers = count()
JSON = {"Content-Type": "application/json"}
# What differs from one answer to the next anyway.
VARYING = {"date", "x-correlation-id", "age", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit"}
OF_EACH_CALL = {"sequence", "at", "latency_us", "correlation_id", "hash"}


@pytest.fixture
def key(installation: Installation) -> str:
    key = installation.new_key(rate=UNLIMITED)
    with connected(installation.port, key) as client:
        assert client.ingest(Batch(1, SYMBOL, 300, has_ids=True).body).status == 200
    return key


def visible(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in reply.headers.items() if name not in VARYING}
    if headers.get("content-type", "").startswith("text/html"):  # a page shows ids and tokens of its own
        return reply.status, {**headers, "content-length": ""}, b""
    return reply.status, headers, reply.body.replace(reply.headers["x-correlation-id"].encode(), b"")


def recorded(installation: Installation, reply: Reply) -> dict[str, Any]:
    """The one audit record of a call, but for what differs from one call to the next."""
    correlation_id = reply.headers["x-correlation-id"]
    assert eventually(lambda: installation.audited(correlation_id))
    (record,) = installation.audited(correlation_id)
    return {name: record[name] for name in record.keys() if name not in OF_EACH_CALL}  # noqa: SIM118 a row's


def both_ways(client: Client, path: str, headers: dict[str, str]) -> list[Reply]:
    """The answer of the event loop and Django's."""
    assert client.get(path, headers).status == (200 if not headers else 304)
    return [
        client.get(path, {**headers, **forcing, "X-Correlation-ID": f"front-{next(_numbers):04}"})
        for forcing in ({}, FORCES_DJANGO)
    ]


def test_calls_get_the_same_answer_and_leave_the_same_record(installation, key):
    pairs = []
    with connected(installation.port, key) as client:
        for path in (OHLC, f"/api{OHLC}", f"{OHLC}/", f"/api{OHLC}/"):
            for condition, status in (({}, 200), ({"If-None-Match": "*"}, 304)):
                front, django = undisturbed(partial(both_ways, client, f"{path}?symbol={SYMBOL}", condition))
                assert front.status == status
                assert visible(front) == visible(django)
                pairs.append((front, django))
    for front, django in pairs:
        assert recorded(installation, front) == recorded(installation, django)


def test_a_call_is_charged_once_either_way(installation, key):
    path = f"{OHLC}?symbol={SYMBOL}"

    def thrice() -> list[Reply]:
        one_a_second = {"X-API-Key": installation.new_key(rate=1)}
        with connected(installation.port, key) as client:
            assert client.get(path).status == 200
            ways = [one_a_second, {**one_a_second, **FORCES_DJANGO}, one_a_second]
            return [client.get(path, headers) for headers in ways]

    for _ in range(ATTEMPTS):
        replies = while_limits_are_shared(installation, thrice)
        # Later another token has come.
        if [reply.status for reply in replies] == [200, 200, 429]:
            break
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0"]


def test_a_write_is_seen_at_once(installation, key):
    symbol = "LOOPFRESH"
    with connected(installation.port, key) as reader, connected(installation.port, key) as writer:
        for number in range(1, 30):
            assert (
                writer.call("POST", INGEST, Batch(number, symbol, 1, has_ids=True).body, JSON).status == 200
            )
            for _ in range(3):
                assert reader.bars(symbol, "1d").json()["data"][0]["volume"] == number * (number + 1) // 2
