"""Changed requests to everything that the OpenAPI document offers: none is the server's fault."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hostile.callers import GRANTS, is_open, one_that_may
from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.hostile.mutants import mutate
from tests.hostile.operations import Operation, valid_call
from tests.hostile.scale import SOAK
from tests.hostile.wire import Wire, checked, code, reached_validation
from tests.system.installation import Installation

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.usefixtures("modest")]

# So many at least, and for so long.
MUTANTS = 1_000
SECONDS = 3_600.0 if SOAK else 30.0
MOST_MIB = 100.0
# How many of them go with a key that the operation is not open to, or might not be: one in so many.
ANY_KEY = 6


@pytest.fixture
def little_growth(installation: Installation) -> Iterator[None]:
    """No process grows by much during the test."""
    # A decoder of one body ends by itself.
    members = {
        pid: command for pid, command in installation.served.members().items() if "decoder" not in command
    }
    before = {pid: Gauge([pid]).resident_mib() for pid in members}
    yield
    grown = {(pid, command): Gauge([pid]).resident_mib() - before[pid] for pid, command in members.items()}
    assert max(grown.values()) < MOST_MIB, grown


@pytest.mark.usefixtures("little_growth")
def test_mutants_of_valid_requests_with_keys_of_every_scope_never_fail_the_server_and_most_reach_validation(
    wire: Wire,
    operations: list[Operation],
    keys: dict[str, str],
    rng: random.Random,
    told: Told,
):
    codes: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    tried = reached = 0
    with_body = [operation for operation in operations if operation.example is not None]
    ends_at, number = time.monotonic() + SECONDS, 0
    while number < MUTANTS or time.monotonic() < ends_at:
        number += 1
        call = valid_call(rng.choice(with_body if number % 2 else operations), rng)
        grant = one_that_may(call.operation, rng) if number % ANY_KEY else rng.choice(GRANTS)
        call.headers["X-API-Key"] = keys[grant]
        mutate(call, rng)
        reply = checked(call.sent(wire), (number, grant, call))
        asked[grant] += 1
        if is_open(call.operation, grant):
            codes[code(reply)] += 1
            tried += 1
            reached += reached_validation(reply)
        elif not call.method:
            assert reply.status >= 400, (number, grant, call)
    told(
        "8 mutants",
        f"{number} requests with keys of {len(asked)} grants, {reached / tried:.1%} of {tried} that may be made "
        f"reached validation, {len(codes)} codes, {codes['']} accepted",
    )
    assert len(asked) == len(GRANTS)
    assert reached >= 0.8 * tried, codes
