"""A key of the default tier against the clock: over all web processes, never more than burst + rate x time."""

import math
import threading
import time
from dataclasses import dataclass

import pytest

from ratelimit.limits.limiter import LATE_US
from ratelimit.limits.token_bucket import SECOND_US
from tests.marketdata_project.front_server import Reply
from tests.system.clients import Client, Crowd, clients_of_every_web, connected
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("installation")

RATE, BURST = 10, 20
REQUESTS = 60
PATH = "/v1/stats/ohlc?symbol=NOTSTORED"


@dataclass(frozen=True)
class Answered:
    sent: float
    received: float
    reply: Reply

    @property
    def admitted(self) -> bool:
        return self.reply.status != 429


def as_fast_as_they_go(
    installation: Installation, key: str, *, path: str = PATH, requests: int = REQUESTS
) -> list[Answered]:
    """Sixty requests, or so many, by four clients over both web processes."""
    answers: list[Answered] = []

    def ask(client: Client, _stopping: threading.Event) -> None:
        for _ in range(requests // 4):
            sent = time.time()
            reply = client.get(path)
            answers.append(Answered(sent, time.time(), reply))

    with clients_of_every_web(installation.served, key, each=2) as clients, Crowd(clients, ask) as crowd:
        crowd.end()
    assert crowd.errors == []
    assert len(answers) == requests
    return answers


@pytest.fixture(scope="module", autouse=True)
def _settled() -> None:
    """For a while after Redis is back, as other tests have it, each process gives its share at most."""
    time.sleep(LATE_US / SECOND_US)


@pytest.fixture(scope="module")
def sixty(shared) -> list[Answered]:
    assert shared.is_ready(seconds=30)
    return as_fast_as_they_go(shared, shared.new_key())


def test_admitted_is_burst_plus_rate_times_time(sixty):
    admitted = sum(answer.admitted for answer in sixty)
    outer = max(answer.received for answer in sixty) - min(answer.sent for answer in sixty)
    inner = max(answer.sent for answer in sixty) - min(answer.received for answer in sixty)
    assert admitted <= BURST + RATE * outer
    assert admitted >= 0.98 * min(BURST + RATE * inner, REQUESTS) - 1
    assert admitted < REQUESTS


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
    with connected(installation.port, installation.new_key(rate=1)) as client:
        replies = [client.get(PATH) for _ in range(3)]
        assert [reply.status for reply in replies] == [404, 404, 429]
        assert replies[-1].headers["retry-after"] == "1"
        assert client.get(PATH).status == 429
        time.sleep(1)
        assert [client.get(PATH).status for _ in range(2)] == [404, 429]


def test_writes_have_a_bucket_of_their_own(installation):
    with connected(installation.port, installation.new_key(rate=1)) as client:
        assert [client.get(PATH).status for _ in range(3)] == [404, 404, 429]
        assert client.ingest(b"{bad").status == 400
