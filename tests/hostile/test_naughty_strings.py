"""Texts that break programs, wherever the API takes a text: answered as any other, or refused with a whole problem."""

import json
import random
from collections import defaultdict

import pytest
from django.conf import settings

from tests.chance import SOAK
from tests.hostile.figures import Told
from tests.hostile.operations import Call, Operation, valid_call
from tests.hostile.wire import Wire, checked, reached_validation

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.usefixtures("modest")]

LIST = settings.REAL_DATA / "reference" / "blns.json"
# For where the list is not at hand: empty, white, controls, formulas, markup, SQL, shell, paths, formats,
# scripts of the world.
OWN = [
    "", " ", "\t", "undefined", "null", "None", "NaN", "-1e400", "0x0", "1/0", "1_000", "\x00", "\x01\x08\x1b[31m", "\x7f\u0085\ufeff", "\u200b\u2060",
    "=cmd|' /C calc'!A0", "@SUM(1+1)", "<script>alert(1)</script>", "' OR 1=1 --", "\"; DROP TABLE symbols; --", "$(reboot)", "`id`", "%s%n%p", "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}", "../../../../etc/passwd", "..\\..\\x", "file:///etc/passwd", "CON", "\u202etxt.exe", "\ud83d", "\U0001f469\u200d\U0001f4bb",
    "\u0661\u0662", "\uff11\uff12", "\u0130I\u0131i", "\ufdfa", "Z\u0351\u036b\u0343a\u0363", "\u2028\u2029", "\r\nX-Injected: 1", "a" * 5_000, "%00", "%ff",
]  # fmt: skip
HEADERS = [
    "Idempotency-Key",
    "X-Correlation-ID",
    "Accept",
    "Accept-Encoding",
    "If-None-Match",
    "Content-Type",
    "User-Agent",
]
# One in so many of the texts is tried at each place.
STEP = 1 if SOAK else 400


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    return json.loads(LIST.read_bytes()) if LIST.exists() else OWN


def some(texts: list[str], rng: random.Random) -> list[str]:
    return texts[rng.randrange(STEP) % len(texts) :: STEP]


def tally(replies: list[bool]) -> str:
    return f"{len(replies)} requests, {sum(replies) / len(replies):.0%} looked at by their operation"


def test_in_every_field_of_the_bodies(
    wire: Wire, operations: list[Operation], naughty: list[str], rng: random.Random, told: Told
):
    """Fields of one name are one position; which operation is asked is left to chance."""
    places = defaultdict(list)
    for operation in operations:
        for place in operation.fields:
            places[place[-2:]].append((operation, place))
    reached = []
    for takers in places.values():
        for text in some(naughty, rng):
            operation, place = rng.choice(takers)
            call = valid_call(operation, rng)
            call.keep_one_row(rng)
            call.put(place, text)
            reached.append(reached_validation(checked(call.sent(wire), (operation.name, place, text))))
    told("8 naughty strings in fields", tally(reached))
    assert len(places) >= 30
    assert sum(reached) >= 0.8 * len(reached)


def test_in_every_parameter_of_the_queries_and_as_its_name(
    wire: Wire, operations: list[Operation], naughty: list[str], rng: random.Random, told: Told
):
    names = {each.name for operation in operations for each in operation.of_place("query")}
    reached = []
    for name in [*sorted(names), None]:
        takers = [operation for operation in operations if name is None or operation.takes(name)]
        for text in some(naughty, rng):
            call = valid_call(rng.choice(takers), rng)
            call = call.with_query(name, text) if name else call.with_query(text, "1")
            reached.append(reached_validation(checked(call.sent(wire), (call.operation.name, call.query))))
    told("8 naughty strings in queries", tally(reached))
    assert len(names) >= 30
    assert sum(reached) >= 0.8 * len(reached)


def test_in_every_part_of_a_path(
    wire: Wire, operations: list[Operation], naughty: list[str], rng: random.Random, told: Told
):
    tried = 0
    takers = [operation for operation in operations if operation.of_place("path")]
    for operation in takers if SOAK else rng.sample(takers, 4):
        for text in naughty[rng.randrange(8) :: 8]:
            call = valid_call(operation, rng)
            call.path_values[rng.choice(list(call.path_values))] = text
            checked(call.sent(wire), (operation.name, text))
            tried += 1
    for text in some(naughty, rng):
        call = Call(Operation("none", "GET", "/api/v1/{text}", (), (), None), path_values={"text": text})
        checked(call.sent(wire), text)
        checked(wire.ask("GET", f"/api/v1/stats/ohlc?symbol=AAPL&{text}"), text)
        tried += 2
    told("8 naughty strings in paths", f"{tried} requests")


def test_in_headers(
    wire: Wire, operations: list[Operation], naughty: list[str], rng: random.Random, told: Told
):
    writes = [operation for operation in operations if operation.example is not None]
    reads = [operation for operation in operations if operation.example is None]
    for header in HEADERS:
        tried = 0
        for operation in (rng.choice(reads), rng.choice(writes)):
            for text in some(naughty, rng):
                call = valid_call(operation, rng)
                call.headers[header] = text
                checked(call.sent(wire), (operation.name, header, text))
                tried += 1
        told(f"8 naughty strings in {header}", f"{tried} requests")
