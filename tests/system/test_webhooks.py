"""Webhooks over real processes: whatever receivers do and whatever is killed, nothing is lost and nothing goes inside."""

import contextlib
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from tests.chance import SOAK, chosen_seed
from tests.front.front_server import eventually
from tests.ops.outbound.hostile_server import Behaviour, Call, Server, hangs, in_turn, says, served
from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation, installed, switched

SETTINGS = switched(app="tests.system.short_webhooks.ShortWebhooks")
EVENTS, SUBJECTS, KILLS = (1_000, 20, 10) if SOAK else (100, 5, 2)
TAKES = says(b"ok")
WORKER = "marketdata worker"


def cuts_off(call: Call) -> None:
    """Close the connection without an answer."""


def slow(call: Call) -> None:
    call.wait(1.5)
    TAKES(call)


def now_and_then(bad: Behaviour, chance: random.Random) -> Behaviour:
    """Fail the first calls, and one in ten after these."""
    left = [3]

    def behave(call: Call) -> None:
        left[0] -= 1
        (bad if left[0] >= 0 or chance.random() < 0.1 else TAKES)(call)

    return behave


@pytest.fixture
def inside() -> Iterator[Server]:
    """A server to which nothing may go."""
    with served(says(b"inside")) as server:
        yield server


@pytest.fixture
def receivers(inside: Server) -> Iterator[dict[str, Server]]:
    chance = random.Random(chosen_seed())
    bad = {
        "500": says(b"", 500),
        "later": says(b"", 503, Retry_After="1"),
        "closes": cuts_off,
        "redirects": says(b"", 307, Location=f"http://127.0.0.1:{inside.port}/"),
    }
    behaviours = {
        "good": TAKES,
        "slow": in_turn([slow] * 4 + [TAKES]),
        "dead": hangs,
        **{name: now_and_then(each, chance) for name, each in bad.items()},
    }
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(served(each)) for name, each in behaviours.items()}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    environment = {
        **SETTINGS,
        "OUTBOUND_SCHEMES": "http",
        "OUTBOUND_NETWORKS": "127.0.0.1",
        "TRADING_ENGINE": "0",
        "JOB_THREADS": "0",
    }
    with installed(tmp_path, data_dir=None, **environment) as running:
        yield running


def post(installation: Installation, path: str, body: dict[str, Any]) -> Any:
    url = f"http://127.0.0.1:{installation.port}/api/v1/{path}"
    return httpx.post(url, json=body, headers={"X-API-Key": installation.key}, trust_env=False).json()


def tell(installation: Installation, first: int, count: int) -> None:
    code = f"""
from django.utils import timezone
from webhooks.events import event_write
for number in range({first}, {first + count}):
    subject = f"symbol:{{number % {SUBJECTS}}}"
    event_write(kind="correction", subject=subject, data={{"subject": subject, "number": number}}, now=timezone.now())
"""
    installation.served.manage("shell", "-c", code, **SETTINGS)


def taken(server: Server, secret: str) -> dict[str, list[int]]:
    """The numbers of the events that a receiver got, by subject, each when it came first. All are verified."""
    numbers: dict[str, list[int]] = {}
    for headers, body in server.posts:
        data = Verifier(secret).verify(body, headers)["data"]
        of_subject = numbers.setdefault(data["subject"], [])
        if data["number"] not in of_subject:
            of_subject.append(data["number"])
    return numbers


def is_working(installation: Installation, server: Server, enough: int) -> bool:
    """Whether a worker is there, and a receiver got so many calls."""
    is_there = any(WORKER in command for command in installation.served.members().values())
    return is_there and len(server.calls) > enough


def has_taken(server: Server, secret: str, expected: dict[str, list[int]]) -> bool:
    return taken(server, secret) == expected


def test_nothing_is_lost_whatever_receivers_do_and_the_worker_is_killed(
    installation: Installation, receivers: dict[str, Server], inside: Server
) -> None:
    chance = random.Random(chosen_seed())
    secrets = {
        name: post(installation, "webhooks", {"url": server.url, "kinds": ["correction"]})["secret"]
        for name, server in receivers.items()
    }
    with served(TAKES) as down:
        port = down.port
    down_secret = post(
        installation, "webhooks", {"url": f"http://127.0.0.1:{port}", "kinds": ["correction"]}
    )["secret"]
    for number in range(KILLS):
        tell(installation, number * EVENTS // KILLS, EVENTS // KILLS)
        enough = number * EVENTS // KILLS + chance.randrange(EVENTS // KILLS)
        assert eventually(partial(is_working, installation, receivers["good"], enough))
        installation.kill(installation.served.member(WORKER))
    with served(TAKES, port=port) as down:
        receivers["down"], secrets["down"] = down, down_secret
        dead = receivers.pop("dead")
        expected = {
            f"symbol:{subject}": list(range(subject, EVENTS, SUBJECTS)) for subject in range(SUBJECTS)
        }
        for name, server in receivers.items():
            assert eventually(
                partial(has_taken, server, secrets[name], expected),
                seconds=PATIENCE_SECONDS * 4,
            ), name
    assert inside.connections == 0
    assert len(dead.calls) < EVENTS
