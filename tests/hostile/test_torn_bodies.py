"""Bodies of every format with bytes changed: readers of binary formats are written in C, and a wrong length must not end the process."""

import random
from collections import Counter

import pytest

from tests.chance import SOAK
from tests.hostile.figures import Told
from tests.hostile.mutants import ARROW, encoded
from tests.hostile.operations import Operation, valid_call
from tests.hostile.wire import Wire, checked, code

pytestmark = [pytest.mark.xdist_group("hostile"), pytest.mark.usefixtures("modest")]

TURNS = 6_000 if SOAK else 90
# Numbers at which lengths and offsets go wrong.
WORDS = [
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**40,
    2**63 - 1,
    2**63,
    2**64 - 1,
]


def torn(body: bytes, rng: random.Random) -> bytes:
    """A few bytes, words, stretches or ends of a body changed."""
    data = bytearray(body)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(8):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1 | 2:
                size = rng.choice([1, 2, 4, 8])
                data[at : at + size] = (rng.choice(WORDS) % 2 ** (8 * size)).to_bytes(size, "little")
            case 3:
                size = rng.choice([2, 4, 8])
                data[at : at + size] = (rng.choice(WORDS) % 2 ** (8 * size)).to_bytes(size, "big")
            case 4:
                del data[at : at + rng.randrange(1, 40)]
            case 5:
                data[at:at] = rng.randbytes(rng.randrange(1, 16))
            case 6:
                other = rng.randrange(len(data)) if data else 0
                data[at : at + 16] = data[other : other + 16]
            case _:
                data = data[:at] if rng.randrange(3) else data + data[at:]
    return bytes(data)


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv", "application/msgpack", ARROW])
def test_torn_bodies_never_fail_the_server(
    wire: Wire, operations: list[Operation], rng: random.Random, told: Told, media_type: str
):
    codes: Counter[str] = Counter()
    takers = [operation for operation in operations if media_type in operation.media_types]
    for number in range(TURNS if media_type == ARROW else TURNS // 3):
        call = valid_call(rng.choice(takers), rng)
        ((name, rows),) = call.document.items()
        good = encoded(call.document, rows * rng.choice([1, 1, 30]), media_type)
        assert good is not None
        call.media_type, call.raw_body = media_type, torn(good, rng)
        codes[code(checked(call.sent(wire), (number, call.operation.name, name, call.raw_body)))] += 1
    told(
        f"8 torn bodies of {media_type}",
        f"{codes.total()} requests, {codes['']} accepted, {len(codes) - 1} codes",
    )
