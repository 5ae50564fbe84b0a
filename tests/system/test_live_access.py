"""Who may have the live feed: credentials in headers and messages, their end, limits, audit records, slots."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import orjson
import pytest
from websockets import InvalidStatus
from websockets.sync.client import connect

from tests.front.front_server import eventually
from tests.hostile.figures import Told
from tests.patience import is_kept
from tests.system.batches import Batch
from tests.system.clients import connected
from tests.system.installation import UNLIMITED, Installation
from tests.system.keys_in_database import key_id
from tests.system.live_clients import PATH, Conversation, talking
from tests.system.test_token_revocation import Begin, people, programs

pytestmark = pytest.mark.xdist_group("live")

SYMBOL = "ACCESS"
CHANNEL = f"trades:{SYMBOL}"
EFFECTIVE_SECONDS = 1.0
# So many connections, so that each of two processes has some.
SEVERAL = 6
RATE = 10


@pytest.fixture(autouse=True)
def _stored(installation: Installation) -> None:
    with connected(installation.port, installation.new_key(rate=UNLIMITED)) as client:
        assert client.ingest(Batch(1, SYMBOL, 3, has_ids=True).body).status == 200


def refusal(installation: Installation, headers: dict[str, str]) -> tuple[int, str]:
    """Status and code of the problem with which a connection is refused."""
    with pytest.raises(InvalidStatus) as refused, talking(installation.port, additional_headers=headers):
        pass
    response = refused.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = orjson.loads(response.body or b"")
    assert problem["status"] == response.status_code
    assert problem["correlation_id"] == response.headers["X-Correlation-ID"]
    return response.status_code, problem["code"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"revoked": True}, (401, "revoked_api_key")),
        ({"expires_in": timedelta(seconds=-1)}, (401, "expired_api_key")),
        ({"scopes": ("market:write",)}, (403, "missing_scope")),
    ],
)
def test_a_credential_that_may_not_is_refused_before_the_connection_opens(
    installation: Installation, columns, expected
) -> None:
    assert refusal(installation, {"X-API-Key": installation.new_key(**columns)}) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "md_abcdefgh_wrong"},
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        {"Authorization": "Basic YTpi"},
    ],
)
def test_a_wrong_credential_is_refused_before_the_connection_opens(
    installation: Installation, headers: dict[str, str]
) -> None:
    assert refusal(installation, headers)[0] == 401


def test_at_a_path_of_a_dialect_the_refusal_has_its_body(installation: Installation) -> None:
    url, headers = f"ws://127.0.0.1:{installation.port}/api/v2/stream", {"X-API-Key": "md_abcdefgh_wrong"}
    with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
        pass
    response = refused.value.response
    error = orjson.loads(response.body or b"")
    assert (response.status_code, error["code"], error["reason"]) == (401, 40_100_000, "invalid_api_key")
    assert response.headers["Content-Type"] == "application/json"


def subscribed(talk: Conversation) -> None:
    answer = talk.ask(op="subscribe", channels=[CHANNEL], id=7)
    assert (answer["op"], answer["id"]) == ("subscribed", 7), answer


def test_a_credential_comes_in_a_header_or_in_the_first_message(installation: Installation) -> None:
    key = installation.new_key(rate=UNLIMITED)
    with talking(installation.port, key) as talk:
        subscribed(talk)
    with talking(installation.port) as talk:
        answer = talk.ask(op="auth", key=key, id="first")
        identity = f"key:{key_id(installation.served.data_dir, key)}"
        assert answer == {"op": "authenticated", "caller": identity, "id": "first"}
        subscribed(talk)


def test_nothing_is_told_before_authentication(installation: Installation) -> None:
    for message in ({"op": "subscribe", "channels": [CHANNEL]}, {"op": "auth", "key": "md_abcdefgh_wrong"}):
        with talking(installation.port) as talk:
            talk.send(**message)
            answer = talk.next(lambda _message: True)
            assert answer["op"] in {"error", "closing"}, answer
            assert answer["code"] in {"not_authenticated", "invalid_api_key"}, answer


# Returns the members of `auth`, and what ends the credential and says when that was.
Credential = Callable[[Installation], tuple[dict[str, str], Callable[[], float]]]


def a_revoked_key(installation: Installation) -> tuple[dict[str, str], Callable[[], float]]:
    key = installation.new_key(rate=UNLIMITED)
    manager = installation.new_key(tier="internal", rate=UNLIMITED, accounts='["*"]')

    def end() -> float:
        with connected(installation.port, manager) as client:
            reply = client.call("DELETE", f"/api/v1/keys/{key_id(installation.served.data_dir, key)}")
        assert reply.status < 300, reply.body
        return time.monotonic()

    return {"key": key}, end


def an_expired_key(installation: Installation) -> tuple[dict[str, str], Callable[[], float]]:
    lives = timedelta(seconds=2)
    expires_at = time.monotonic() + lives.total_seconds()
    return {"key": installation.new_key(rate=UNLIMITED, expires_in=lives)}, lambda: expires_at


def a_token_of_a_program(installation: Installation) -> tuple[dict[str, str], Callable[[], float]]:
    return _token(installation, programs(installation))


def a_token_of_a_person(installation: Installation) -> tuple[dict[str, str], Callable[[], float]]:
    return _token(installation, people(installation, "grace"))


def _token(installation: Installation, begin: Begin) -> tuple[dict[str, str], Callable[[], float]]:
    with connected(installation.port, None) as client:
        token, give_back = begin(client)

    def end() -> float:
        with connected(installation.port, None) as client:
            assert give_back(client).status in {200, 204}
        return time.monotonic()

    return {"token": token}, end


def opened(stack: ExitStack, installation: Installation, credential: dict[str, str]) -> list[Conversation]:
    """Connections that were authenticated by a header and by a message, in turns."""
    ((kind, text),) = credential.items()
    headers = {"X-API-Key": text} if kind == "key" else {"Authorization": f"Bearer {text}"}
    talks = []
    for number in range(SEVERAL):
        given = headers if number % 2 else {}
        talks.append(stack.enter_context(talking(installation.port, additional_headers=given)))
        if not given:
            assert talks[-1].ask(op="auth", **credential)["op"] == "authenticated"
        subscribed(talks[-1])
    return talks


@pytest.mark.seconds
@pytest.mark.parametrize(
    "credential",
    [
        a_revoked_key,
        an_expired_key,
        a_token_of_a_program,
        pytest.param(a_token_of_a_person, marks=pytest.mark.soak),
    ],
)
def test_a_connection_ends_within_a_second_of_its_credential(
    installation: Installation, told: Told, credential: Credential
) -> None:
    given, end = credential(installation)
    with ExitStack() as stack:
        talks = opened(stack, installation, given)
        ended_at = end()
        found = [talk.ended() for talk in talks]
        seconds = time.monotonic() - ended_at
    assert {each.code for each in found} == {4401}
    assert {each.closing["code"] for each in found} == {"not_authenticated"}
    assert all(each.closing["from"].keys() == {CHANNEL} for each in found)
    name = credential.__name__.replace("_", " ")
    told(f"11 live connections of {name}", f"{SEVERAL} closed, the last {seconds:.2f} s after its end")
    assert is_kept(EFFECTIVE_SECONDS, seconds)


def test_all_symbols_need_the_sensitivity_confidential(installation: Installation) -> None:
    for sensitivity, expected in (
        ("public", "error"),
        ("internal", "error"),
        ("confidential", "subscribed"),
    ):
        key = installation.new_key(rate=UNLIMITED, sensitivity=sensitivity)
        with talking(installation.port, key) as talk:
            answer = talk.ask(op="subscribe", channels=["trades:*"])
            assert answer["op"] == expected, answer
            if expected == "error":
                assert answer["code"] == "insufficient_sensitivity"
            else:
                assert CHANNEL in talk.next(lambda each: each.get("channels"))["channels"]


def at_once(talk: Conversation, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send messages without waiting between them; return their answers."""
    for message in messages:
        talk.send(**message)
    return [talk.next(lambda each: "ch" not in each and each["op"] != "ping") for _ in messages]


def test_messages_are_charged_and_what_is_sent_is_not(installation: Installation) -> None:
    with talking(installation.port, installation.new_key(rate=RATE)) as talk:
        answers = at_once(talk, [{"op": "ping", "id": number} for number in range(4 * RATE)])
        refused = [answer for answer in answers if answer["op"] == "error"]
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert all(answer["retry_after"] > 0 for answer in refused)
        # The burst is twice the rate. A second or two may have gone by.
        assert len(answers) - len(refused) >= 2 * RATE - 1
        time.sleep(1.0)
        subscribed(talk)
        with connected(installation.port, installation.new_key(rate=UNLIMITED)) as client:
            for number in range(4 * RATE):
                assert client.ingest(Batch(10 + number, SYMBOL, 1, has_ids=True).body).status == 200
        for _ in range(4 * RATE):
            talk.next(lambda message: "seq" in message)


def test_a_subscription_costs_a_token_for_each_channel(installation: Installation) -> None:
    with talking(installation.port, installation.new_key(rate=RATE)) as talk:
        names = [f"bars.{minutes}m:{SYMBOL}" for minutes in (1, 2, 3, 5, 10, 15, 30)]
        began = time.monotonic()
        answers = at_once(talk, [{"op": "subscribe", "channels": names}] * 20)
        seconds = time.monotonic() - began
    assert [answer["op"] for answer in answers[:2]] == ["subscribed"] * 2
    refused = [answer["code"] for answer in answers if answer["op"] == "error"]
    assert set(refused) == {"rate_limited"}
    assert (len(answers) - len(refused)) * len(names) <= 2 * RATE + RATE * seconds


def test_each_connection_leaves_a_record_when_it_opens_and_when_it_ends(installation: Installation) -> None:
    key = installation.new_key(rate=UNLIMITED)
    headers = {"X-API-Key": key, "X-Correlation-ID": "live-records-1"}
    with talking(installation.port, additional_headers=headers) as talk:
        subscribed(talk)
        assert eventually(lambda: len(installation.audited("live-records-1")) == 1)
        time.sleep(0.2)
    assert eventually(lambda: len(installation.audited("live-records-1")) == 2)
    opened, ended = installation.audited("live-records-1")
    caller = f"key:{key_id(installation.served.data_dir, key)}"
    assert {each["caller"] for each in (opened, ended)} == {caller}
    assert {each["path"] for each in (opened, ended)} == {PATH}
    assert (opened["status"], ended["method"]) == (101, "CLOSE")
    assert ended["latency_us"] > 200_000


def test_a_refused_connection_leaves_one_record(installation: Installation) -> None:
    key = installation.new_key(scopes=("market:write",))
    headers = {"X-API-Key": key, "X-Correlation-ID": "live-refused-1"}
    assert refusal(installation, headers) == (403, "missing_scope")
    assert eventually(lambda: len(installation.audited("live-refused-1")) == 1)
    assert installation.audited("live-refused-1")[0]["status"] == 403


@pytest.mark.parametrize(
    "message",
    [
        "[]",
        "{",
        '{"op":"sell"}',
        '{"op":["ping"]}',
        '{"op":"ping","id":18446744073709551616}',
        '{"op":"ping","id":true}',
        '{"op":"ping","at":1}',
    ],
)
def test_a_message_that_is_none_ends_the_connection(installation: Installation, message: str) -> None:
    with talking(installation.port, installation.new_key(rate=UNLIMITED)) as talk:
        answer = talk.ask(op="subscribe", channels=["trades:NOTSTORED"])
        assert (answer["op"], answer["code"]) == ("error", "unknown_symbol")
        talk.socket.send(message)
        ended = talk.ended()
    assert (ended.code, ended.closing["code"]) == (4400, "malformed_message")
    assert ended.closing["message"].startswith(
        ("op is one of", "ping has the members id", "id is a text", "the body")
    )
