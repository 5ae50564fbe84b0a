"""A key of the default tier against the clock: over all web processes, never more than burst + rate x time."""

import math
import time

import pytest

from tests.front.front_server import Reply
from tests.system.clients import connected
from tests.system.limits import BURST, PATH, RATE, Answered, as_fast_as_they_go, until_refused
from tests.system.swarm import admitted_of
from tests.system.undisturbed import while_limits_are_shared

pytestmark = pytest.mark.xdist_group("installation")


@pytest.fixture(scope="module")
def sixty(shared) -> list[Answered]:
    assert shared.is_complete()
    return while_limits_are_shared(shared, lambda: as_fast_as_they_go(shared, shared.new_key()))


def test_admitted_is_at_most_burst_plus_rate_times_time(sixty):
    admitted = admitted_of(sixty)
    assert admitted.share_of(burst=BURST, rate=RATE) <= 1
    assert admitted.count >= BURST


def test_headers_say_how_the_bucket_stands(sixty):
    for answer in sixty:
        headers = answer.reply.headers
        remaining, reset = int(headers["x-ratelimit-remaining"]), int(headers["x-ratelimit-reset"])
        assert headers["x-ratelimit-limit"] == str(BURST)
        assert headers["ratelimit-policy"].split(", ")[0] == f'"read";q={BURST};w={BURST // RATE}'
        seconds = math.ceil((BURST - remaining) / RATE)
        assert headers["ratelimit"].split(", ")[0] in {
            f'"read";r={remaining};t={s}' for s in (seconds, max(seconds - 1, 0))
        }
        assert answer.sent <= reset <= math.ceil(answer.received + BURST / RATE)
        assert ("retry-after" in headers) == (not answer.admitted)
        assert 0 <= remaining < BURST


def test_refusals_name_the_smallest_whole_retry_after(sixty):
    """The next token is never more than a tenth of a second away: 0 would be a lie, 2 too much."""
    refused = [answer for answer in sixty if not answer.admitted]
    assert {answer.reply.headers["retry-after"] for answer in refused} == {"1"}
    assert {answer.reply.headers["x-ratelimit-remaining"] for answer in refused} == {"0"}
    assert {answer.reply.json()["code"] for answer in refused} == {"rate_limited"}


def test_after_exactly_retry_after_one_request_is_admitted(installation):
    """At one request a second a whole second is the smallest wait that can be true, and not a second token."""

    def waited() -> tuple[Reply, int, int, int, float]:
        """The refusal, how many were admitted before it, the status and how many were admitted behind it, in so many seconds."""
        key, began = installation.new_key(rate=1), time.monotonic()
        with connected(installation.port, key) as client:
            refused, before = until_refused(client)
        time.sleep(1)
        with connected(installation.port, key) as client:
            status = client.get(PATH).status
            _, after = until_refused(client)
        return refused, before, status, after, time.monotonic() - began

    refused, before, status, after, seconds = while_limits_are_shared(installation, waited)
    assert before >= 2
    assert refused.headers["retry-after"] == "1"
    assert status == 404
    assert before + 1 + after <= 2 + seconds


def test_writes_have_a_bucket_of_their_own(installation):
    with connected(installation.port, installation.new_key(rate=1)) as client:
        until_refused(client)
        assert client.ingest(b"{bad").status == 400
