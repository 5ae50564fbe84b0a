"""A session that ends, and a token that is given back, are refused by every process within a second."""

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from tests.chance import SOAK
from tests.front.front_server import Reply, eventually
from tests.hostile.figures import Told
from tests.patience import PATIENCE_SECONDS, is_kept
from tests.system.clients import Client, Crowd, clients_of_every_web, connected
from tests.system.installation import UNLIMITED, WORKERS, Installation

pytestmark = [pytest.mark.seconds, pytest.mark.xdist_group("installation")]

TIMES = 10 if SOAK else 1
EFFECTIVE_SECONDS = 1.0
BETWEEN_SECONDS = 0.01
PATH = "/api/v1/clock"
PASSWORD = "correct horse battery staple"
# Gives a token, and what ends it.
Begin = Callable[[Client], tuple[str, Callable[[Client], Reply]]]


def posted(client: Client, path: str, body: Any) -> Reply:
    return client.call("POST", path, orjson.dumps(body), {"Content-Type": "application/json"})


def people(installation: Installation, name: str = "ada") -> Begin:
    installation.served.add_superuser(name, PASSWORD)

    def begin(client: Client) -> tuple[str, Callable[[Client], Reply]]:
        reply = posted(client, "/api/v1/auth/token", {"username": name, "password": PASSWORD})
        assert reply.status == 200, reply.body
        tokens = orjson.loads(reply.body)
        return tokens["access"], lambda by: posted(by, "/api/v1/auth/logout", {"refresh": tokens["refresh"]})

    return begin


def programs(installation: Installation) -> Begin:
    options = ["create", "desk", "--scope", "market:read", "--rate", str(UNLIMITED), "--json"]
    made = json.loads(installation.served.manage("apikey", *options))
    secret = base64.b64encode(f"{made['prefix']}:{made['key']}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"}

    def ask(client: Client, path: str, **form: str) -> Reply:
        return client.call("POST", path, urlencode(form).encode(), headers)

    def begin(client: Client) -> tuple[str, Callable[[Client], Reply]]:
        reply = ask(client, "/api/v1/oauth/token", grant_type="client_credentials")
        assert reply.status == 200, reply.body
        token = orjson.loads(reply.body)["access_token"]
        return token, lambda by: ask(by, "/api/v1/oauth/revoke", token=token)

    return begin


def longest_acceptance(installation: Installation, begin: Begin) -> float:
    """Seconds from the answer to what ended a token to the last request that was still accepted when it was sent."""
    accepted: dict[int | None, float] = {}
    with connected(installation.port, None) as other:
        token, end = begin(other)

        def ask(client: Client, _stopping: threading.Event) -> None:
            began = sent = time.monotonic()
            while client.get(PATH, {"Authorization": f"Bearer {token}"}).status != 401:
                assert sent < began + PATIENCE_SECONDS
                accepted[client.process] = sent
                time.sleep(BETWEEN_SECONDS)
                sent = time.monotonic()

        with clients_of_every_web(installation.served, None, each=1) as clients:
            with Crowd(clients, ask) as crowd:
                assert eventually(lambda: len(accepted) == WORKERS)
                time.sleep(0.5)
                assert end(other).status in {200, 204}
                ended_at = time.monotonic()
            assert crowd.errors == []
    return max(0.0, max(accepted.values()) - ended_at)


@pytest.mark.parametrize("kind", [people, pytest.param(programs, marks=pytest.mark.soak)])
def test_a_token_that_was_ended_is_refused_by_every_process_within_a_second(
    installation: Installation, told: Told, kind: Callable[[Installation], Begin]
):
    begin = kind(installation)
    longest = [longest_acceptance(installation, begin) for _ in range(TIMES)]
    told(
        f"11 tokens of {kind.__name__} ended",
        f"{TIMES} times, accepted for {max(longest):.3f} s at most",
    )
    assert is_kept(EFFECTIVE_SECONDS, *longest)
