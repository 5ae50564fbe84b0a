"""The live feed's load notices what is missing, repeated or out of order; the bare peer sends everything."""

from dataclasses import replace

import pytest

from benchmarks.live import Acknowledged, Feed, check_complete
from benchmarks.live_clients import Message, Received
from benchmarks.live_peer import live_peer
from benchmarks.report import UnexpectedAnswer

STORED = [Acknowledged("L0000", f"{number}-abcdef", number) for number in (1, 2, 3)]
MESSAGES = [
    Message(number + 0.25, f"{number}-abcdef.99", f"{number - 1}-abcdef.99", 100, 7_000)
    for number in (1, 2, 3)
]
COMPLETE = Received("trades:L0000", "0-abcdef.99", MESSAGES)


def test_delays_are_from_acknowledgement_to_receipt():
    assert check_complete([COMPLETE], STORED) == [250, 250, 250]


@pytest.mark.parametrize(
    "messages",
    [
        MESSAGES[:2],
        MESSAGES[1:],
        [*MESSAGES, MESSAGES[-1]],
        [MESSAGES[1], MESSAGES[0], MESSAGES[2]],
        [MESSAGES[0], replace(MESSAGES[1], prev="0-abcdef.99"), MESSAGES[2]],
        [replace(MESSAGES[0], rows=99), *MESSAGES[1:]],
    ],
    ids=["last missing", "first missing", "repeated", "out of order", "another prev", "row missing"],
)
def test_a_client_without_each_row_once_and_in_order_fails_the_run(messages):
    with pytest.raises(UnexpectedAnswer, match="trades:L0000"):
        check_complete([replace(COMPLETE, messages=messages)], STORED)


def test_the_bare_peer_sends_every_batch_to_every_client():
    with live_peer() as (server, port):
        feed = Feed(server, port)
        with feed.clients(40) as clients:
            acknowledged = feed.send(0.4)
            delays = check_complete(clients.received(), acknowledged)
    assert len(delays) == 40
