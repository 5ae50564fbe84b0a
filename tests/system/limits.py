"""Clients of a running installation that ask for more than a key of the default tier gives."""

import itertools
import threading
import time
from dataclasses import dataclass

from tests.front.front_server import Reply
from tests.patience import PATIENCE_SECONDS
from tests.system.clients import Client, Crowd, clients_of_every_web
from tests.system.installation import Installation

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
    """Sixty requests, or so many, by four clients over both web processes; of sixty some are refused, or there are more."""
    answers: list[Answered] = []
    ends_at = time.monotonic() + PATIENCE_SECONDS

    def is_enough(asked: int) -> bool:
        refused = requests < REQUESTS or not all(answer.admitted for answer in answers)
        return asked >= requests // 4 and (refused or time.monotonic() > ends_at)

    def ask(client: Client, _stopping: threading.Event) -> None:
        for asked in itertools.count():
            if is_enough(asked):
                return
            sent = time.time()
            reply = client.get(path)
            answers.append(Answered(sent, time.time(), reply))

    with clients_of_every_web(installation.served, key, each=2) as clients, Crowd(clients, ask) as crowd:
        crowd.end()
    assert crowd.errors == []
    assert len(answers) >= requests
    return answers


def until_refused(client: Client) -> tuple[Reply, int]:
    """The first refusal of a client that asks without a pause, and how many of its requests were admitted before."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    for admitted in itertools.count():
        reply = client.get(PATH)
        if reply.status == 429:
            return reply, admitted
        assert reply.status == 404
        assert time.monotonic() < ends_at, "nothing is refused"
    raise AssertionError
