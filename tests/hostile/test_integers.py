"""Integers at the edges of doubles and of 64 bits, wherever a path, a query or a body may have one."""

import random
from collections.abc import Iterator
from itertools import count

import pytest

from tests.chance import SOAK
from tests.hostile.operations import FORM, Call, Operation, may_be_number, valid_call
from tests.hostile.wire import Wire, checked

pytestmark = pytest.mark.xdist_group("hostile")

EDGES = (2**53, 2**63, 2**64, -1)


def changed(operation: Operation, edge: int, rng: random.Random) -> Iterator[Call]:
    """A valid call with the edge in each path and at each number; with full counts, at every value."""
    for name in valid_call(operation, rng).path_values:
        call = valid_call(operation, rng)
        call.path_values[name] = str(edge)
        yield call
    for parameter in operation.of_place("query"):
        if SOAK or may_be_number(parameter.schema):
            yield valid_call(operation, rng).with_query(parameter.name, str(edge))
    for place in operation.fields if SOAK else operation.numbers:
        call = valid_call(operation, rng)
        if isinstance(call.document, dict) and place:
            call.put(place, str(edge) if call.media_type == FORM else edge)
            yield call


def test_no_integer_of_a_path_a_query_or_a_body_fails_the_server(
    wire: Wire, operations: list[Operation], rng: random.Random
):
    failed, asked, keys = [], 0, count()
    for operation in operations:
        for edge in EDGES if SOAK else [rng.choice(EDGES)]:
            for call in changed(operation, edge, rng):
                if operation.takes("Idempotency-Key"):
                    call.headers["Idempotency-Key"] = f"integers-{next(keys)}"
                reply = checked(call.sent(wire), call, known_failures=(500, 503))
                asked += 1
                if reply.status >= 500:
                    failed.append((operation.name, call.target, call.document, reply.body[:200]))
    assert asked > (1_000 if SOAK else 250)
    assert not failed, (len(failed), failed[:40])
