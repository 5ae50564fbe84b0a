"""Which calls with the same Idempotency-Key are the same call."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from tests.api_client import make_key
from tests.ratelimit.keys.key_callers import caller_by
from web.idempotency.answers import KeyedCall, answer_once, answers_delete_old, keyed_call
from web.idempotency.exceptions import IdempotencyKeyReused

NOW = datetime(2026, 1, 5, tzinfo=UTC)
BODY = {"side": "buy"}


@pytest.fixture
def call_of():
    caller = caller_by(make_key(), now=datetime.now(UTC))

    def call(path: str, body: object = BODY) -> KeyedCall:
        request = Request(RequestFactory().post(path, headers={"Idempotency-Key": "k-1"}))
        request.user = caller  # type: ignore[assignment]  # as the authentication classes set it
        found = keyed_call(request, body)
        assert found is not None
        return found

    return call


def made(call: KeyedCall, word: str) -> tuple[dict[str, str], bool]:
    return answer_once(call, lambda: {"made": word}, now=NOW)


@pytest.mark.django_db
def test_a_caller_keeps_its_newest_answers(call_of, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("web.idempotency.answers.MOST_ANSWERS", 2)
    other = replace(call_of("/0"), scope="key:0")
    made(other, "of another")
    for path in ("/1", "/2", "/3"):
        made(call_of(path), path)
    answers_delete_old(now=NOW)
    assert made(other, "again") == ({"made": "of another"}, True)
    again = [made(call_of(path), "again")[1] for path in ("/3", "/2", "/1")]
    assert again == [True, True, False]


@pytest.mark.django_db
class TestTheQueryBelongsToTheCall:
    def test_another_query_is_refused(self, call_of):
        assert made(call_of("/orders?account=A"), "first") == ({"made": "first"}, False)
        for path in (
            "/orders?account=B",
            "/orders",
            "/orders?account=A&dry=1",
            "/orders?account=A&account=B",
        ):
            with pytest.raises(IdempotencyKeyReused):
                made(call_of(path), "second")

    def test_neither_order_nor_format_matters(self, call_of):
        made(call_of("/orders?account=A&dry=1"), "first")
        again = made(call_of("/orders?dry=1&format=json&account=A"), "second")
        assert again == ({"made": "first"}, True)

    @pytest.mark.parametrize("number", [2**53, 2**63, 2**64, -1, 10**30])
    def test_any_integer_of_a_body_has_a_fingerprint(self, call_of, number):
        assert made(call_of("/orders", {"event": number}), "first") == ({"made": "first"}, False)
        assert made(call_of("/orders", {"event": number}), "second") == ({"made": "first"}, True)
        with pytest.raises(IdempotencyKeyReused):
            made(call_of("/orders", {"event": number + 1}), "third")
