"""Redis emptied and filled with garbage of every type between steps: nothing that must be kept was only there."""

import contextlib
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle

import orjson
import pytest

from tests.chance import SOAK
from tests.front.front_server import Reply
from tests.hostile.figures import Told
from tests.ratelimit.credentials.signatures.signing import prefix_of, secret_of, signed
from tests.system.clients import OHLC, Client, clients_of_every_web
from tests.system.installation import UNLIMITED, WORKERS, Installation
from tests.system.keys_in_database import key_id
from tests.system.limits import PATH
from tests.system.redis_faults import KINDS_OF_GARBAGE, fill_with_garbage
from tests.system.undisturbed import times_lost

pytestmark = pytest.mark.xdist_group("installation")

QUOTA = 40
RATE, BURST = 10, 20
TURNS = 10 * KINDS_OF_GARBAGE if SOAK else KINDS_OF_GARBAGE
LOSSES, ASKED = (50, 30) if SOAK else (4, 30)
Fault = Callable[[], None]


# The soak also empties it: garbage is lost and wrong at once.
@pytest.fixture(params=["emptied", "garbled"] if SOAK else ["garbled"])
def fault(installation: Installation, request: pytest.FixtureRequest) -> Fault:
    """Whatever Redis holds is lost, or something else from now on."""
    turns = count()

    def empty() -> None:
        with contextlib.closing(installation.redis) as redis:
            redis.flushall()

    def garble() -> None:
        fill_with_garbage(installation, next(turns))

    return empty if request.param == "emptied" else garble


@pytest.fixture
def each(installation: Installation) -> Iterator[list[Client]]:
    """A client without a key of each web process."""
    with clients_of_every_web(installation.served, None, each=1) as clients:
        yield clients


def code(reply: Reply) -> str:
    assert reply.status < 500, reply.body
    return str(reply.json()["code"]) if reply.status >= 400 else ""


def test_a_quota_gives_what_it_has_and_at_most_what_others_counted_in_the_last_minute(
    installation: Installation, each: list[Client], fault: Fault
):
    key = {"X-API-Key": installation.new_key(rate=UNLIMITED, daily_quota=QUOTA)}
    codes = []
    for _, client in zip(range((WORKERS + 1) * QUOTA), cycle(each), strict=False):
        codes.append(code(client.get(PATH, key)))
        fault()
    # After a loss a process knows its own count, and of the others what they have written to the database.
    assert QUOTA <= codes.count("unknown_symbol") <= WORKERS * QUOTA
    assert set(codes[WORKERS * QUOTA :]) == {"quota_exceeded"}


def test_what_was_revoked_and_what_has_expired_stays_so(
    installation: Installation, each: list[Client], fault: Fault
):
    keys = {
        installation.new_key(): "unknown_symbol",
        installation.new_key(revoked=True): "revoked_api_key",
        "md_" + "x" * 8 + "_" + "y" * 43: "invalid_api_key",
    }
    for _ in range(TURNS // 4):
        for key, expected in keys.items():
            fault()
            assert {code(client.get(PATH, {"X-API-Key": key})) for client in each} == {expected}


def test_a_signed_request_is_not_accepted_twice(
    installation: Installation, each: list[Client], fault: Fault, settings
):
    settings.SECRET_KEY = (installation.served.data_dir / "secret_key").read_text().strip()
    settings.SIGNING_SECRET = ""
    key = installation.new_key(rate=UNLIMITED)
    url = f"http://127.0.0.1:{installation.port}{OHLC}?symbol=NOTSTORED"
    for _ in range(TURNS):
        headers = signed("GET", url, key_id=prefix_of(key), secret=secret_of(key))
        answers = []
        for client in (*each, *each):
            answers.append(code(client.get(PATH, {"Host": f"127.0.0.1:{installation.port}", **headers})))
            fault()
        assert answers == ["unknown_symbol", *["nonce_used"] * (2 * WORKERS - 1)]


def test_a_key_that_was_made_once_is_not_made_again(
    installation: Installation, each: list[Client], fault: Fault, request: pytest.FixtureRequest
):
    manager = installation.new_key(tier="internal", rate=UNLIMITED, accounts='["*"]')
    headers = {
        "X-API-Key": manager,
        "Content-Type": "application/json",
        "Idempotency-Key": f"once-{request.node.callspec.id}",
    }
    body = orjson.dumps({"name": "made once", "scopes": ["market:read"]})
    answers = []
    for _ in range(TURNS // 4):
        answers += [client.call("POST", "/api/v1/keys", body, headers) for client in each]
        fault()
    assert {answer.status for answer in answers} == {201}, answers[0].body
    assert len({answer.body for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert key_id(installation.served.data_dir, answers[0].json()["key"])


def test_each_loss_of_a_bucket_gives_one_more_burst(
    installation: Installation, each: list[Client], fault: Fault, told: Told
):
    key = {"X-API-Key": installation.new_key(rate=RATE)}
    began, admitted, before = time.monotonic(), 0, times_lost(installation)
    for _ in range(LOSSES):
        for _, client in zip(range(ASKED), cycle(each), strict=False):
            admitted += code(client.get(PATH, key)) != "rate_limited"
        fault()
    # A process that stood still meanwhile has lost Redis, too; how often that is believed has an end.
    bursts = 1 + LOSSES + 2 * min(times_lost(installation) - before, LOSSES)
    most = bursts * BURST + RATE * (time.monotonic() - began)
    told(
        "05 Redis lost again and again",
        f"{admitted} of {LOSSES * ASKED} admitted, {admitted / most:.3f} of the bursts + rate x time",
    )
    assert admitted <= most
