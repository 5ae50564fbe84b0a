"""Cursors that were not given out for this query: each is 400, and none is the server's fault."""

import base64
import random
import string

import pytest

from tests.chance import SOAK
from tests.hostile.figures import Told
from tests.hostile.operations import Call, Operation, valid_call
from tests.hostile.wire import Wire, checked, code

pytestmark = pytest.mark.xdist_group("hostile")

ALPHABET = string.ascii_letters + string.digits + "-_"


def first_page(wire: Wire, operation: Operation, rng: random.Random) -> tuple[Call, str]:
    """A query for pages of one row, and the cursor behind its first page; '' if there is no more."""
    call = valid_call(operation, rng)
    call.query = [
        (name, value)
        for name, value in call.query
        if name in {"start", "end", "symbol", "symbols", "resolution"}
    ]
    call.query.append(("limit", "1"))
    reply = call.sent(wire)
    assert reply.status == 200, (call, reply.body)
    return call, reply.json().get("next_cursor") or ""


def forged(cursor: str, rng: random.Random) -> list[str]:
    """Cut, lengthened, changed in a character or a bit, spelled otherwise."""
    data = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    at = rng.randrange(len(cursor))
    other = rng.choice(ALPHABET.replace(cursor[at], ""))
    return [
        cursor[: rng.randrange(1, len(cursor))], cursor[rng.randrange(1, len(cursor)) :], cursor + rng.choice(ALPHABET), cursor + "=", cursor + "==", cursor * 2,
        f" {cursor}", f"{cursor}\n", cursor[:at] + other + cursor[at + 1 :], cursor.swapcase(), cursor[::-1], base64.urlsafe_b64encode(data).decode().rstrip("="),
        "A" * len(cursor), "_" * len(cursor), "\u0661" * 8, "\x00", "AA", "=",
    ]  # fmt: skip


def test_a_cursor_that_is_forged_or_of_another_query_is_400(
    wire: Wire, operations: list[Operation], rng: random.Random, told: Told
):
    walks = []
    for operation in operations:
        if operation.takes("cursor"):
            call, cursor = first_page(wire, operation, rng)
            if cursor:
                walks.append((call, cursor))
    tried = 0
    for call, cursor in walks:
        assert call.with_query("cursor", cursor).sent(wire).status == 200
        foreign = [other for walk, other in walks if walk.operation is not call.operation and other != cursor]
        texts = [text for _ in range(20) for text in forged(cursor, rng)]
        texts = texts if SOAK else rng.sample(texts, 6)
        for text in [*texts, *rng.sample(foreign, min(5 if SOAK else 2, len(foreign)))]:
            reply = checked(call.with_query("cursor", text).sent(wire), (call, text))
            assert (reply.status, code(reply)) == (400, "invalid_cursor"), (call.operation.name, text)
            tried += 1
    told("8 forged and foreign cursors", f"{tried} requests to {len(walks)} operations, all 400")
    assert len(walks) >= 10
