"""The front door gives Django's own answers, only sooner: same status, headers, body, record and charge."""

from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from tests.marketdata_project.front_server import Reply, eventually
from tests.system.batches import Batch
from tests.system.clients import INGEST, OHLC, Client, connected
from tests.system.front_door import ENCODINGS, FORCES_DJANGO, LEFT, SYMBOL, TAKEN, hour_of
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
    """The answer at the front door and Django's, from a process that holds the answer in memory."""
    assert client.get(path, FORCES_DJANGO["cookie"]).status == 200
    return [
        client.get(path, {**headers, **forcing, "X-Correlation-ID": f"front-{next(_numbers)}"})
        for forcing in ({}, FORCES_DJANGO["cookie"])
    ]


@pytest.mark.parametrize("forced", FORCES_DJANGO)
@pytest.mark.parametrize("query", TAKEN.values(), ids=TAKEN)
def test_an_answer_is_the_same_at_the_front_door_and_from_django(installation, key, query, forced):
    path = f"{OHLC}?symbol={SYMBOL}{query}"
    with connected(installation.port, key) as client:

        def ask() -> list[Reply]:
            tag = {"If-None-Match": client.get(path, FORCES_DJANGO[forced]).headers["etag"]}
            return [
                client.get(path, {**tagged, **forcing})
                for tagged in ({}, tag)
                for forcing in ({}, FORCES_DJANGO[forced])
            ]

        front, django, front_again, django_again = undisturbed(ask)
    assert front.status == 200
    assert front.headers["x-cache"] == "hit"
    assert visible(front) == visible(django)
    assert front_again.status == 304
    assert visible(front_again) == visible(django_again)


@pytest.mark.parametrize(("accepted", "used"), ENCODINGS.items())
def test_a_compressed_answer_is_the_same_at_the_front_door_and_from_django(installation, key, accepted, used):
    path, asked = f"{OHLC}?symbol=FRONTLARGE", {"Accept-Encoding": accepted}
    with connected(installation.port, key) as client:
        assert client.ingest(hour_of("FRONTLARGE")).status == 200

        def ask() -> list[Reply]:
            tag = {"If-None-Match": client.get(path, {**asked, **FORCES_DJANGO["cookie"]}).headers["etag"]}
            return [
                client.get(path, {**asked, **tagged, **forcing})
                for tagged in ({}, tag)
                for forcing in ({}, FORCES_DJANGO["cookie"])
            ]

        front, django, front_again, django_again = undisturbed(ask)
    assert (front.status, front.headers["x-cache"]) == (200, "hit")
    assert front.headers.get("content-encoding") == used
    assert visible(front) == visible(django)
    assert front_again.status == 304
    assert visible(front_again) == visible(django_again)


@pytest.mark.parametrize("path", [OHLC, f"/api{OHLC}", f"{OHLC}/", f"/api{OHLC}/"])
def test_a_call_leaves_the_same_record(installation, key, path):
    with connected(installation.port, key) as client:
        for condition, status in (({}, 200), ({"If-None-Match": "*"}, 304)):
            front, django = undisturbed(partial(both_ways, client, f"{path}?symbol={SYMBOL}", condition))
            assert front.status == status
            assert visible(front) == visible(django)
            assert recorded(installation, front) == recorded(installation, django)


@pytest.mark.parametrize(("method", "query", "headers"), LEFT.values(), ids=LEFT)
def test_what_is_not_plainly_an_answer_is_left_to_django(installation, key, method, query, headers):
    path = f"{OHLC}?symbol={SYMBOL}{query}"
    with connected(installation.port, key) as client:
        assert client.get(f"{OHLC}?symbol={SYMBOL}").status == 200
        # A page for people asks for fewer bars: it is kept from now on.
        client.call(method, path, None, headers)
        forcing = {**headers, **FORCES_DJANGO["cookie"]}
        plain, django = undisturbed(
            lambda: [client.call(method, path, None, each) for each in (headers, forcing)]
        )
    assert visible(plain) == visible(django)
    assert plain.status < 500


KEYS: dict[str, tuple[dict[str, Any], int, str]] = {
    "wrong scope": ({"scopes": ("market:write",)}, 403, "missing_scope"),
    "expired": ({"expires_in": timedelta(seconds=-1)}, 401, "expired_api_key"),
    "revoked": ({"revoked": True}, 401, "revoked_api_key"),
}


@pytest.mark.parametrize(("options", "status", "code"), KEYS.values(), ids=KEYS)
def test_keys_that_may_not_read_are_refused_as_by_django(installation, key, options, status, code):
    path = f"{OHLC}?symbol={SYMBOL}"
    other = {"X-API-Key": installation.new_key(**options)}
    with connected(installation.port, key) as client:
        assert client.get(path).status == 200
        forcing = {**other, **FORCES_DJANGO["cookie"]}
        plain, django = undisturbed(lambda: [client.get(path, each) for each in (other, forcing)])
        assert (plain.status, plain.json()["code"]) == (status, code)
        assert visible(plain) == visible(django)
        assert client.get(path).status == 200


def test_a_call_is_charged_once_either_way(installation, key):
    path = f"{OHLC}?symbol={SYMBOL}"

    def thrice() -> list[Reply]:
        one_a_second = {"X-API-Key": installation.new_key(rate=1)}
        with connected(installation.port, key) as client:
            assert client.get(path).status == 200
            ways = [one_a_second, {**one_a_second, **FORCES_DJANGO["cookie"]}, one_a_second]
            return [client.get(path, headers) for headers in ways]

    for _ in range(ATTEMPTS):
        replies = while_limits_are_shared(installation, thrice)
        # Later another token has come.
        if [reply.status for reply in replies] == [200, 200, 429]:
            break
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0"]


def test_a_write_is_seen_at_the_front_door_at_once(installation, key):
    symbol = "FRONTFRESH"
    with connected(installation.port, key) as reader, connected(installation.port, key) as writer:
        for number in range(1, 30):
            assert (
                writer.call("POST", INGEST, Batch(number, symbol, 1, has_ids=True).body, JSON).status == 200
            )
            for _ in range(3):
                assert reader.bars(symbol, "1d").json()["data"][0]["volume"] == number * (number + 1) // 2
