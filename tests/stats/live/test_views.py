"""The live feed over plain HTTP: its statistics, and requests that ask for no WebSocket."""

import pytest

from ops.metrics.declarations import LIVE_CONNECTIONS, LIVE_ENDS, LIVE_MESSAGES, LIVE_SUBSCRIPTIONS
from tests.api_client import Api, answer, make_key, problem
from tests.front.front_server import ask, running

STATS = "/api/v1/stream/stats"
STREAM = "/ws/v1/stream"
KINDS = ("trades", "quotes", "status", "bars", "orders", "alerts", "portfolio")
NOTHING = dict.fromkeys(KINDS, 0)


@pytest.fixture
def no_numbers() -> None:
    for metric in (LIVE_CONNECTIONS, LIVE_SUBSCRIPTIONS, LIVE_MESSAGES, LIVE_ENDS):
        metric.clear()


def test_statistics_of_a_feed_that_nobody_used(api: Api, no_numbers):
    assert answer(api.get(STATS)) == {
        "connections": 0,
        "subscriptions": NOTHING,
        "messages": NOTHING,
        "ends": {},
    }


def test_statistics_count_by_kind_and_reason(api: Api, no_numbers):
    LIVE_CONNECTIONS.add(2)
    LIVE_SUBSCRIPTIONS.add(3, "trades")
    LIVE_MESSAGES.add("bars", amount=500)
    LIVE_ENDS.add("slow_consumer")
    try:
        found = answer(api.get(STATS))
    finally:
        LIVE_CONNECTIONS.clear()
        LIVE_SUBSCRIPTIONS.clear()
    assert found["connections"] == 2
    assert found["subscriptions"] == NOTHING | {"trades": 3}
    assert found["messages"] == NOTHING | {"bars": 500}
    assert found["ends"] == {"slow_consumer": 1}


def test_statistics_are_internal(api: Api):
    reader = Api(make_key(scopes=("market:read",), sensitivity="public"))
    assert problem(reader.get(STATS)) == (403, "insufficient_sensitivity")
    assert problem(api.get(STATS, {"symbol": "AAPL"})) == (400, "unknown_parameter")


@pytest.mark.parametrize("path", [STREAM, f"{STREAM}/"])
def test_a_plain_request_is_told_to_upgrade(api: Api, path: str):
    response = api.get(path)
    assert problem(response) == (426, "upgrade_required")
    assert "WebSocket" in answer(response)["message"]


def test_but_only_to_who_may_read(api: Api):
    assert problem(Api(None).get(STREAM)) == (401, "not_authenticated")
    writer = Api(make_key(scopes=("market:write",)))
    assert problem(writer.get(STREAM)) == (403, "missing_scope")
    assert problem(api.call("POST", STREAM)) == (405, "method_not_allowed")


def test_the_front_names_the_protocol(api: Api):
    response = api.get(STREAM)
    with running(lambda _environ: response) as port:
        reply = ask(port, b"GET /ws/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert reply.status == 426
    assert (reply.headers["upgrade"], reply.headers["connection"].lower()) == ("websocket", "upgrade")
