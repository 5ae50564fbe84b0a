"""Changed requests to the dialects: none is the server's fault, and every refusal has the dialect's form."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.chance import SOAK
from tests.hostile import stock
from tests.hostile.figures import Told
from tests.hostile.mutants import mutate
from tests.hostile.operations import Operation, Parameter, operations_of, served_document, valid_call
from tests.hostile.wire import ALPACA, UDF, Wire, checked, code, reached_validation
from tests.system.installation import UNLIMITED, Installation

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.usefixtures("modest")]

SECONDS = 600.0 if SOAK else 0.0
# What `/udf` takes, which no document describes; a star is behind what it needs.
_RANGE = "symbol* resolution* from* to*"
OF_UDF = {
    "config": "", "time": "", "symbols": "symbol*", "search": "query* type exchange limit", "marks": _RANGE, "timescale_marks": _RANGE,
    "quotes": "symbols*", "history": f"{_RANGE} countback currencyCode",
}  # fmt: skip


def of_udf() -> Iterator[Operation]:
    for name, taken in OF_UDF.items():
        parameters = [Parameter(each.rstrip("*"), "query", {}, each.endswith("*")) for each in taken.split()]
        yield Operation(f"udf_{name}", "GET", f"/udf/{name}", tuple(parameters), (), None)


def test_mutants_of_requests_to_dialects_never_fail_the_server_and_are_refused_in_their_form(
    wire: Wire, installation: Installation, rng: random.Random, told: Told
):
    key = installation.new_key(
        tier="internal", rate=UNLIMITED, trading_rate=UNLIMITED, accounts=f'["{stock.ACCOUNT_ROW["name"]}"]'
    )
    operations = [*operations_of(served_document(wire, "/api/v2/schema?format=json")), *of_udf()]
    codes, accepted = Counter[str](), set[str]()
    ends_at, number, reached = time.monotonic() + SECONDS, 0, 0
    while number < 2 * len(operations) or time.monotonic() < ends_at:
        operation = operations[number // 2 % len(operations)]
        call = valid_call(operation, rng)
        call.headers["X-API-Key"] = key
        if number % 2:
            mutate(call, rng)
        # Of an unknown method nothing is parsed, so its path is not known.
        if call.method != "NONE":
            members = UDF if operation.path.startswith("/udf/") else ALPACA
            reply = checked(call.sent(wire), (number, call), members=members)
            codes[code(reply)] += 1
            reached += reached_validation(reply)
            if reply.status < 400:
                accepted.add(operation.name)
        number += 1
    told(
        "8 mutants of dialects",
        f"{number} requests to {len(operations)} operations, {codes['']} accepted of {len(accepted)}, {len(codes)} codes",
    )
    assert reached >= 0.8 * number, codes
    assert len(accepted) >= 0.6 * len(operations), accepted
