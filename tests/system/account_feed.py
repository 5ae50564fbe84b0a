"""A client of `orders:ACC` that connects again whenever it is cut off, and continues from its number."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets import ConnectionClosed, WebSocketException

from tests.patience import PATIENCE_SECONDS
from tests.system.installation import Installation
from tests.system.live_clients import Conversation, talking
from tests.system.traders import trader_key

_AGAIN_SECONDS = 0.1


@dataclass
class AccountFeed:
    """numbers: of the events that came, in this order. faults: frames that do not continue the one before."""

    installation: Installation
    account: str
    key: str
    token: str = "0"
    numbers: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: int = 0

    def run(self, ending: threading.Event) -> None:
        while not ending.is_set():
            errors = (OSError, WebSocketException, ConnectionClosed)
            with contextlib.suppress(*errors), talking(self.installation.port, self.key) as conversation:
                self._read(conversation, ending)
            time.sleep(_AGAIN_SECONDS)

    def _read(self, conversation: Conversation, ending: threading.Event) -> None:
        channel = f"orders:{self.account}"
        conversation.send(op="subscribe", channels=[channel], **{"from": {channel: self.token}})
        self.connections += 1
        while not ending.is_set():
            with contextlib.suppress(TimeoutError):
                self._take(conversation.next(lambda _: True, seconds=0.5))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("op") == "subscribed":
            self._begin(message["channels"][f"orders:{self.account}"])
        elif "seq" not in message:
            if message.get("op") not in {"ping", "closing"}:
                self.faults.append(str(message))
        else:
            if message["prev"] != self.token:
                self.faults.append(f"{message['prev']} after {self.token}")
            self.token = message["seq"]
            self.numbers.append(int(self.token))

    def _begin(self, token: str) -> None:
        if token != self.token:
            self.faults.append(f"subscribed at {token} from {self.token}")


@contextlib.contextmanager
def following(installation: Installation, account: str) -> Iterator[AccountFeed]:
    """Follow the orders of an account from its first event."""
    feed = AccountFeed(installation, account, trader_key(installation, account))
    ending = threading.Event()
    thread = threading.Thread(target=feed.run, args=[ending], daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        ending.set()
        thread.join(PATIENCE_SECONDS)
