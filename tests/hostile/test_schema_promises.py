"""What the OpenAPI document promises, tried by schemathesis: over all operations, with values that the store knows."""

import random

import pytest

from tests.chance import SOAK
from tests.hostile import stock
from tests.hostile.figures import Told
from tests.hostile.operations import Operation
from tests.hostile.schema_run import Found, configuration, run
from tests.system.installation import UNLIMITED, Installation

pytestmark = pytest.mark.xdist_group("hostile")

# Cases of each operation that keep to the schema, and that do not.
POSITIVE, NEGATIVE = (22, 8) if SOAK else (8, 3)
CASES = 2_000
# How many operations are tried in a short run, and in how many of them every constraint is broken once.
SOME, FEW = 3, 1


def chosen(operations: list[Operation], rng: random.Random, count: int) -> list[Operation]:
    return operations if SOAK else rng.sample(operations, count)


def tried(installation: Installation, operations: list[Operation], seed: int, **options: object) -> Found:
    key = installation.new_key(tier="internal", rate=UNLIMITED, trading_rate=UNLIMITED, accounts='["*"]')
    found = run(installation.port, configuration(key, seed=seed, **options), operations)  # type: ignore[arg-type]
    assert found.errors == []
    assert found.failures == [], "\n\n".join(found.failures[:5])
    return found


@pytest.mark.soak
def test_at_least_half_of_each_operations_cases_are_answered_2xx_and_no_promise_is_broken(
    installation: Installation, operations: list[Operation], rng: random.Random, seed: int, told: Told
):
    # These are found only by the key that made them.
    answered = [
        each
        for each in operations
        if stock.STATUSES.get(each.name, 200) < 300 and not any(map(each.takes, ("job", "webhook", "alert")))
    ]
    some = chosen(answered, rng, SOME)
    found = tried(installation, some, seed, phases=("fuzzing",), mode="positive", examples=POSITIVE)
    found.add(tried(installation, some, seed, phases=("fuzzing",), mode="negative", examples=NEGATIVE))
    shares = {label: found.successes(label) for label in found.statuses}
    assert len(shares) == len(some)
    least = min(shares, key=shares.__getitem__)
    told(
        "8 schemathesis, drawn cases",
        f"{found.cases} cases of {len(shares)} operations, {found.all_successes():.0%} answered 2xx, at least {shares[least]:.0%} of each",
    )
    assert found.cases >= (CASES if SOAK else 24)
    assert found.all_successes() >= 0.5
    # Eleven cases of an operation are too few to tell its share from chance.
    assert shares[least] >= (0.5 if SOAK else 0.2), (least, found.statuses[least])


def test_no_promise_is_broken_where_every_constraint_is_broken_once(
    installation: Installation, operations: list[Operation], rng: random.Random, seed: int, told: Told
):
    some = chosen(operations, rng, FEW)
    found = tried(installation, some, seed, phases=("coverage",), mode="all", examples=1)
    statuses = sorted({status for counts in found.statuses.values() for status in counts})
    told(
        "8 schemathesis, broken constraints",
        f"{found.cases} cases of {len(found.statuses)} operations, statuses {statuses}",
    )
    assert len(found.statuses) == len(some)
    assert found.cases >= 10 * len(some)
