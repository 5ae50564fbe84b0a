"""What the hostile tests stand on: their valid calls are valid, whatever operations there are."""

import random

import pytest

from tests.chance import SOAK
from tests.hostile import stock
from tests.hostile.operations import Operation, valid_call
from tests.hostile.wire import Wire, checked

pytestmark = pytest.mark.xdist_group("hostile")

TIMES = 20 if SOAK else 1


def test_every_operation_of_the_schema_has_calls_that_are_answered(
    wire: Wire, operations: list[Operation], rng: random.Random
):
    assert len(operations) >= 10
    refused = []
    for operation in operations:
        for _ in range(TIMES):
            call = valid_call(operation, rng)
            reply = checked(call.sent(wire), call)
            if reply.status != stock.STATUSES.get(operation.name, 200):
                refused.append((operation.name, call.query, call.document, reply.status, reply.body[:300]))
    assert not refused, refused[:10]
