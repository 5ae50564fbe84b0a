"""Changed requests to everything that the OpenAPI document offers: none is the server's fault."""

import random
import time
from collections import Counter

import pytest

from tests.chance import SOAK
from tests.hostile.callers import GRANTS, is_open, one_that_may
from tests.hostile.figures import Told
from tests.hostile.gauge import Gauge
from tests.hostile.mutants import mutate
from tests.hostile.operations import Operation, valid_call
from tests.hostile.wire import Wire, checked, code, reached_validation
from tests.system.installation import Installation

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.usefixtures("modest")]

# So many at least, and for so long.
MUTANTS, SECONDS = (1_000, 3_600.0) if SOAK else (250, 0.0)
# No process grows by so much in the last nine tenths. In the first, modules are loaded and caches begin to fill.
MEASURED_SECONDS, MOST_MIB = 0.9 * SECONDS, 100.0
# How many of them go with a key that the operation is not open to, or might not be: one in so many.
ANY_KEY = 6


def resident_mib(installation: Installation) -> dict[str, float]:
    """What each process takes, by its number and command. A decoder of one body ends by itself, and is left out."""
    members = installation.served.members().items()
    return {f"{pid} {name}": Gauge([pid]).resident_mib() for pid, name in members if "decoder" not in name}


def test_mutants_of_valid_requests_with_keys_of_every_scope_never_fail_the_server_and_most_reach_validation(
    *,
    wire: Wire,
    installation: Installation,
    operations: list[Operation],
    keys: dict[str, str],
    rng: random.Random,
    told: Told,
):
    codes: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    tried = reached = 0
    with_body = [operation for operation in operations if operation.example is not None]
    ends_at, number, before = time.monotonic() + SECONDS, 0, dict[str, float]()
    while number < MUTANTS or time.monotonic() < ends_at:
        number += 1
        if not before and time.monotonic() > ends_at - MEASURED_SECONDS:
            before = resident_mib(installation)
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
    after = resident_mib(installation)
    grown = {name: after[name] - mib for name, mib in before.items()}
    told("8 mutants, memory", f"the process that grew most: {max(grown.values()):+.1f} MiB")
    assert len(asked) == len(GRANTS)
    assert reached >= 0.8 * tried, codes
    assert not SOAK or max(grown.values()) < MOST_MIB, grown
