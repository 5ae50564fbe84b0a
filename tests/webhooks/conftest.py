"""What tests of webhooks share: receivers on this machine, and a sender whose clock can be moved."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
from django.utils import timezone
from standardwebhooks import Webhook as Verifier

from tests.api_client import Api, answer
from tests.ops.outbound.hostile_server import Server, says, served
from tests.ops.outbound.test_addresses import LOOPBACK
from webhooks.models import PENDING, Delivery, Webhook
from webhooks.sending import Sender

HOOKS = "/api/v1/webhooks"
_TAKES = says(b"ok")


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.OUTBOUND_SCHEMES, settings.OUTBOUND_NETWORKS = ("http", "https"), LOOPBACK


@pytest.fixture
def receiver() -> Iterator[Callable[..., Server]]:
    """Start receivers that behave so."""
    with ExitStack() as stack:
        yield lambda behave=_TAKES: stack.enter_context(served(behave))


def subscribe(api: Api, url: str, *kinds: str, **more: Any) -> dict[str, Any]:
    """Create a webhook, and return its document with the secret."""
    body = {"url": url, "kinds": kinds or ("job.succeeded", "job.failed"), **more}
    response = api.call("POST", HOOKS, orjson.dumps(body))
    assert response.status_code == 201, response.content
    document: dict[str, Any] = answer(response)
    return document


def send(*, seconds: float = 20) -> None:
    """Fan out, and send what is due, as a process of its own would."""
    Sender().round(seconds=seconds)


def much_later() -> None:
    """Make all pending deliveries due."""
    Delivery.objects.filter(state=PENDING).update(next_at=timezone.now())
    Webhook.objects.update(retry_at=None)


def received(server: Server, *secrets: str) -> list[Any]:
    """Return the events that a receiver got, verified by the library with each of the secrets."""
    events = []
    for headers, body in server.posts:
        for secret in secrets:
            Verifier(secret).verify(body, headers)
        events.append(
            {
                "id": {name.lower(): value for name, value in headers.items()}["webhook-id"],
                **orjson.loads(body),
            }
        )
    return events
