"""Deliveries of webhooks to one local receiver, against bare httpx that posts the same bodies to it.

`python -m benchmarks.webhooks` is the receiver: it answers 204, and GET with what it has received.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from benchmarks.processes import LOAD_CORE, StartFailed, line_with, run_python, running
from benchmarks.report import Goal, Ratio, Row, Sizes
from benchmarks.servers import installation_environment, our_server

_DELIVERIES = 5_000
_SETTINGS = {
    "OUTBOUND_SCHEMES": "http",
    "OUTBOUND_NETWORKS": "127.0.0.1",
    "TRADING_ENGINE": "0",
    "JOB_THREADS": "0",
}
_BODY = b'{"type":"webhook.test","timestamp":"2030-01-02T03:04:05Z","data":{"webhook":"0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11"}}'
_EVENTS = """
from django.utils import timezone
from ratelimit.models import ApiKey
from webhooks.models import PAUSED, Delivery, Webhook, WebhookEvent
from webhooks.services import webhook_resume
from webhooks.signing import new_secret, sealed_secret
now, owner = timezone.now(), f"key:{ApiKey.objects.first().pk}"
secret = sealed_secret(new_secret())
webhook = Webhook.objects.create(url=%r, owner=owner, created_by=owner, secret=secret, state=PAUSED, created_at=now)
columns = {"created_at": now, "subject": "test"}
events = [
    WebhookEvent(kind="webhook.test", owner=owner, data={"webhook": str(webhook.uuid)}, fanned_out_at=now, **columns)
    for _ in range(%d)
]
WebhookEvent.objects.bulk_create(events)
made = [Delivery(event=event, webhook=webhook, next_at=now, **columns) for event in events]
for number, delivery in enumerate(made):
    delivery.subject = f"test:{number %% 20}"
Delivery.objects.bulk_create(made)
webhook_resume(webhook=webhook, now=now)
"""


def measure_webhooks(sizes: Sizes) -> Iterator[Row]:
    """Yield the rate of deliveries, with signatures and the log, against POSTs over one connection without these."""
    count = _DELIVERIES if sizes.seconds > 1 else _DELIVERIES // 10
    with our_server(settings=_SETTINGS) as server:
        log = server.folder.parent / "receiver.log"
        environment = installation_environment(server.folder) | _SETTINGS
        command = [sys.executable, "-m", "benchmarks.webhooks"]
        with running(command, environment=environment, log=log, cores=LOAD_CORE) as receiver:
            url = line_with(receiver, "http://", log=log).strip()
            code = _EVENTS % (url, count)
            run_python("django", "shell", "--no-imports", "-c", code, environment=environment, log=log)
            ours = _rate(url, count)
        with running(command, environment=environment, log=log, cores=LOAD_CORE) as receiver:
            url = line_with(receiver, "http://", log=log).strip()
            with httpx.Client(trust_env=False) as client:
                for _ in range(count):
                    client.post(url, content=_BODY, headers={"content-type": "application/json"})
            bare = _rate(url, count)
    yield Ratio("deliveries of webhooks to one receiver, bare httpx", ours, bare, "/s", Goal(least=0.3))


def _rate(url: str, count: int) -> float:
    """Wait until the receiver has all, and return how many it got a second."""
    deadline = time.monotonic() + 120
    while (seen := httpx.get(url, trust_env=False).json())["count"] < count:
        if time.monotonic() > deadline:
            raise StartFailed(f"the receiver got {seen['count']} of {count} calls")
        time.sleep(0.2)
    rate: float = seen["count"] / (seen["last"] - seen["first"])
    return rate


@dataclass(slots=True)
class _Received:
    """The instants of the calls that a receiver got."""

    at: list[float] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the calls of a connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    body = json.dumps(
                        {"count": len(self.at), "first": self.at[0], "last": self.at[-1]}
                        if self.at
                        else {"count": 0}
                    )
                    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
                    continue
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                self.at.append(time.monotonic())
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def _receive() -> None:
    server = await asyncio.start_server(_Received().take, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}/", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_receive())
