"""JSON texts in every body that the API reads: right ones are read, wrong ones are 400, none is the server's fault."""

import random

import orjson
import pytest

from tests.chance import SOAK
from tests.hostile.figures import Told
from tests.hostile.json_texts import OPEN, RIGHT, WRONG
from tests.hostile.operations import JSON, Call, Operation, body_bytes, valid_call
from tests.hostile.wire import Wire, checked, code

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.usefixtures("modest")]

# One in so many of the texts is tried at each place, of which an operation has so many.
STEP, PLACES = (1, 1_000) if SOAK else (240, 4)
MALFORMED = {"malformed_json", "nesting_too_deep", "duplicate_key"}
MALFORMED_LINE = {"malformed_ndjson", "nesting_too_deep", "duplicate_key"}
NDJSON = "application/x-ndjson"
BLANK = b" \t\r\n\x0b\x0c"
_PLACE = "@hostile@"


def some(texts: dict[str, bytes], rng: random.Random) -> list[tuple[str, bytes]]:
    return list(texts.items())[rng.randrange(STEP) :: STEP]


def taking(operations: list[Operation], media_type: str = JSON) -> list[Operation]:
    return [each for each in operations if media_type in each.media_types]


def some_places(document: object, rng: random.Random) -> list[object]:
    found = places(document)
    return rng.sample(found, min(PLACES, len(found)))


def places(document: object) -> list[object]:
    """The document once for each value in it, with a mark in the value's place."""
    if isinstance(document, dict):
        return [_PLACE] + [{**document, key: inner} for key in document for inner in places(document[key])]
    if isinstance(document, list):
        # With another element behind it, so that nothing at all is wrong there, too.
        return [_PLACE] + [[inner, document[0]] for inner in places(document[0])] if document else [_PLACE]
    return [_PLACE]


def body_with(document: object, text: bytes) -> bytes:
    return orjson.dumps(document).replace(b'"%s"' % _PLACE.encode(), text)


def sent(wire: Wire, call: Call, body: bytes, name: str, media_type: str = JSON) -> str:
    """The code of the answer, after a look at it."""
    call.raw_body, call.media_type = body, media_type
    return code(checked(call.sent(wire), (call.operation.name, name, body[:200])))


def test_wrong_texts_are_400_wherever_they_stand(
    wire: Wire, operations: list[Operation], rng: random.Random, told: Told
):
    tried = 0
    for operation in taking(operations):
        call = valid_call(operation, rng)
        for place in some_places(call.document, rng):
            for name, text in some({**WRONG, **OPEN}, rng):
                body = body_with(place, text)
                if not body and not operation.needs_body:
                    continue
                wrong = {"body_too_large"} if len(body) > body_bytes(operation) else MALFORMED
                assert sent(wire, call, body, name) in wrong, (operation, name, body[:300])
                tried += 1
    told("8 JSON texts that are wrong", f"{tried} requests, all 400 or 413")


def test_right_texts_are_read_wherever_they_stand(
    wire: Wire, operations: list[Operation], rng: random.Random, told: Told
):
    tried = 0
    for operation in taking(operations):
        call = valid_call(operation, rng)
        for place in some_places(call.document, rng):
            for name, text in some(RIGHT, rng):
                body = body_with(place, text)
                assert sent(wire, call, body, name) not in MALFORMED, (operation, name, body[:300])
                tried += 1
    told("8 JSON texts that are right", f"{tried} requests, all read")


def test_right_texts_are_passed_over_in_fields_that_are_not_known_and_wrong_ones_are_not(
    wire: Wire, operations: list[Operation], rng: random.Random
):
    for operation in taking(operations):
        if not operation.takes("unknown"):
            continue
        call = valid_call(operation, rng).with_query("unknown", "ignore")
        ((rows_name, rows),) = call.document.items()
        marked = {rows_name: [{**rows[0], "unheard_of": _PLACE}, *rows[1:]]}
        for name, text in some(RIGHT, rng):
            assert sent(wire, call, body_with(marked, text), name) == "", (operation, name)
        for name, text in some({**WRONG, **OPEN}, rng):
            assert sent(wire, call, body_with(marked, text), name) in MALFORMED, (operation, name)


def test_wrong_texts_are_400_as_a_line_among_others(
    wire: Wire, operations: list[Operation], rng: random.Random
):
    for operation in taking(operations, NDJSON):
        call = valid_call(operation, rng)
        (rows,) = call.document.values()
        for name, text in some({**WRONG, **OPEN}, rng):
            if text.strip(BLANK) and b"\n" not in text:
                body = b"\n".join([orjson.dumps(rows[0]), text, *map(orjson.dumps, rows[1:])])
                assert sent(wire, call, body, name, NDJSON) in MALFORMED_LINE, (operation, name, text[:300])
