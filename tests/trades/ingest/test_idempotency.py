"""The same key and body give the first answer again; another body is refused; refusals are not kept."""

import threading

import pytest

from ratelimit.limits.limiter import process_limiter
from ratelimit.models import ApiKey
from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.api_client import Api, answer, body_of, make_key, problem, trade, until_limited
from trades.stores import market_store


def rows_stored(symbol: str = "AAPL") -> int:
    return len(market_store().log(TRADES, symbol).at().rows(ALL_TIME).column("price"))


def test_a_request_again_gets_the_first_answer_and_says_so(api):
    first = api.ingest(trade(), idempotency_key="k-1")
    api.ingest(trade(price=2))
    again = api.ingest(trade(), idempotency_key="k-1")
    assert (again.status_code, again.content, again["X-Commit"]) == (200, first.content, first["X-Commit"])
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert rows_stored() == 2


def test_a_quoted_key_is_the_bare_one(api):
    api.ingest(trade(), idempotency_key='"k-1"')
    assert api.ingest(trade(), idempotency_key="k-1")["Idempotency-Replayed"] == "true"


def test_the_same_trades_in_another_spelling_are_the_same_body(api):
    api.ingest(trade(), idempotency_key="k-1")
    again = api.ingest(b" " + body_of(trade(symbol="aapl")), idempotency_key="k-1")
    assert again["Idempotency-Replayed"] == "true"


def test_a_key_with_another_body_is_422(api):
    api.ingest(trade(), idempotency_key="k-1")
    assert problem(api.ingest(trade(price=2), idempotency_key="k-1")) == (422, "idempotency_key_reused")
    assert rows_stored() == 1


def test_a_batch_that_was_stored_without_dedupe_is_not_stored_again_under_its_key(api):
    for _ in range(3):
        response = api.ingest(trade(), query="dedupe=none", idempotency_key="k-1")
        assert answer(response)["stored"] == 1
    assert rows_stored() == 1


def test_the_answer_to_duplicates_is_kept_too(api):
    api.ingest(trade())
    first = api.ingest(trade(), idempotency_key="k-1")
    again = api.ingest(trade(), idempotency_key="k-1")
    assert answer(first)["duplicates"] == 1
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")


@pytest.mark.parametrize(
    "refused", [b"{bad", body_of(trade(price=0)), body_of(trade(), trade(symbol="MSFT"))]
)
def test_a_refusal_is_not_kept(api, refused):
    assert api.ingest(refused, idempotency_key="k-1").status_code in {400, 422}
    response = api.ingest(trade(), idempotency_key="k-1")
    assert (response.status_code, answer(response)["stored"]) == (200, 1)
    assert "Idempotency-Replayed" not in response


def test_a_429_is_not_kept(api):
    limited = Api(make_key(rate=1))
    keys = [f"k-{number}" for number in range(100)]
    until_limited(lambda: limited.ingest(trade(), query="dedupe=none", idempotency_key=keys.pop(0)))
    before = rows_stored()
    process_limiter.cache_clear()
    refused_key = f"k-{99 - len(keys)}"
    response = limited.ingest(trade(), query="dedupe=none", idempotency_key=refused_key)
    assert response.status_code == 200
    assert "Idempotency-Replayed" not in response
    assert rows_stored() == before + 1


def test_callers_have_keys_of_their_own(api):
    other = Api(make_key())
    api.ingest(trade(), idempotency_key="k-1")
    assert "Idempotency-Replayed" not in other.ingest(trade(price=2), idempotency_key="k-1")
    assert rows_stored() == 2


def test_symbols_have_keys_of_their_own(api):
    api.ingest(trade(), idempotency_key="k-1")
    assert "Idempotency-Replayed" not in api.ingest(trade(symbol="MSFT"), idempotency_key="k-1")


def test_both_prefixes_share_their_keys(api):
    api.ingest(trade(), idempotency_key="k-1")
    again = api.ingest(trade(), idempotency_key="k-1", path="/v1/trades/ingest/")
    assert again["Idempotency-Replayed"] == "true"


def test_an_answer_survives_a_restart(api, store_path, settings):
    first = api.ingest(trade(), idempotency_key="k-1")
    settings.MARKET_STORES = {"default": {"BACKEND": "store.csv.CsvStore", "OPTIONS": {"path": store_path}}}
    again = api.ingest(trade(), idempotency_key="k-1")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert CsvStore(store_path).log(TRADES, "AAPL").at().rows(ALL_TIME).num_rows == 1


@pytest.mark.parametrize("key", ["~" * 255, '"', "a,b;c=d"])
def test_visible_ascii_is_a_key(api, key):
    assert api.ingest(trade(), idempotency_key=key).status_code == 200
    assert api.ingest(trade(), idempotency_key=key)["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "caf\u00e9"], ids=ascii)
def test_anything_else_is_no_key(api, key):
    assert problem(api.ingest(trade(), idempotency_key=key)) == (400, "invalid_idempotency_key")


@pytest.mark.django_db(transaction=True)
def test_one_key_on_many_threads_has_one_effect(api):
    answers: list[tuple[int, bytes, bool]] = []

    def send() -> None:
        response = api.ingest(trade(), query="dedupe=none", idempotency_key="k-1")
        answers.append((response.status_code, response.content, "Idempotency-Replayed" in response))

    api.ingest(trade(symbol="WARM"))
    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [(status, body) for status, body, _ in answers if status != 409]
    assert len(set(done)) == 1
    assert [replayed for status, _, replayed in answers if status == 200].count(False) == 1
    assert {status for status, _, _ in answers} <= {200, 409}
    assert rows_stored() == 1


def rotated(api: Api) -> Api:
    """The caller by its key's new secret."""
    (key,) = ApiKey.objects.all()
    return Api(answer(api.call("POST", f"/api/v1/keys/{key.pk}/rotate", b"{}"))["key"])


@pytest.mark.usefixtures("project_redis")
def test_a_rotated_key_that_repeats_its_request_gets_the_first_answer(api):
    first = api.ingest(trade(), query="dedupe=none", idempotency_key="k-1")
    successor = rotated(api)
    again = successor.ingest(trade(), query="dedupe=none", idempotency_key="k-1")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
    assert rows_stored() == 1
    assert problem(successor.ingest(trade(price=2), idempotency_key="k-1")) == (422, "idempotency_key_reused")


@pytest.mark.usefixtures("project_redis")
def test_a_rotated_key_that_repeats_its_correction_gets_the_first_answer(api):
    api.ingest(trade(trade_id="t1"))
    cancel = {"action": "cancel", "timestamp": "2025-01-02T14:30:00Z", "trade_id": "t1"}
    first = api.correct(cancel, idempotency_key="k-1")
    again = rotated(api).correct(cancel, idempotency_key="k-1")
    assert (again.content, again["Idempotency-Replayed"]) == (first.content, "true")
