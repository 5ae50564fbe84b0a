"""What hostile clients send on a WebSocket: JSON that is none, members of wrong types, frames against the protocol."""

import json
import random
from typing import Any, NamedTuple

import msgspec

from tests.hostile.json_texts import RIGHT, WRONG
from tests.hostile.mutants import VALUES
from tests.system.live_raw import BINARY, CLOSE, FINAL, PING, TEXT, frame

MESSAGE_BYTES = 64 * 1024
CONTINUATION = 0x0
_SYMBOL = "HOSTILE"
_VALID: list[dict[str, Any]] = [
    {
        "op": "subscribe",
        "channels": [f"trades:{_SYMBOL}"],
        "from": {f"trades:{_SYMBOL}": "0"},
        "mode": "all",
        "id": 1,
    },
    {"op": "subscribe", "channels": [f"bars.1m:{_SYMBOL}?hours=regular"], "mode": "latest", "id": "a"},
    {"op": "unsubscribe", "channels": [f"quotes:{_SYMBOL}"], "id": 2},
    {"op": "auth", "key": "md_abcdefgh_wrong"},
    {"op": "auth", "token": "a.b.c"},
    {"op": "ping", "id": 3},
    {"op": "pong"},
]
_CHANNELS = [
    "", ":", "trades", "trades:", ":AAPL", "trades:,", f"trades:{_SYMBOL},,", f"trades:{_SYMBOL}:1", "trades:*,*", "bars:*", "bars.1m:*", "status:*", "*", "*:*",
    "trades:../../../etc/passwd", "trades:..%2f..%2fx", "trades:/etc/passwd", "trades:CON", "trades:\x00", f"trades:{_SYMBOL}\x00", "trades:%00", "trades:a/b",
    "trades:" + "A" * 300, "trades:\u0130BM", "trades:\ud800", "orders:AAPL", "trades.1m:AAPL", f"bars.:{_SYMBOL}", f"bars.tick:{_SYMBOL}", f"bars.0s:{_SYMBOL}",
    f"bars.1m.1m:{_SYMBOL}", f"bars.1m:{_SYMBOL}?", f"bars.1m:{_SYMBOL}?hours=never", f"bars.1m:{_SYMBOL}?hours=regular&hours=all", f"bars.1m:{_SYMBOL}?limit=1",
    f"bars.1m:{_SYMBOL}?as_of=2025-01-02", f"bars.1d:{_SYMBOL}?anchor=x", f"trades:{_SYMBOL}?hours=regular", f"bars.1m:{_SYMBOL}?%68ours=%00", f"bars.1m:{_SYMBOL}#a",
]  # fmt: skip
_TOKENS = [
    "", "-", "0-0", "1", "1-", "-abcdef", "1-abcdef.", "1-abcdef.-1", "1-ABCDEF", "1-abcdef.3.4", "99999999999999999999-abcdef", "1-abcdef.99999999999999999999",
    "999999999999999999-abcdef", "1-abcdef.999999999999999999", "1-xxxxxx", "1-abcdef, trades=2-abcdef", "trades=1-abcdef, trades=2-abcdef", "trades:A=1-abcdef",
    "\x00", "\u0661-abcdef", "1e3-abcdef", "0x1-abcdef", "../x", "now", "latest",
]  # fmt: skip


class Hostile(NamedTuple):
    """Bytes of a client. is_whole: whether they are whole frames, so that a further message can follow them."""

    name: str
    data: bytes
    is_whole: bool = True


def hostile(chance: random.Random, count: int) -> list[Hostile]:
    """So many, of each kind about as many; the same for the same chance."""
    kinds = [_json_text, _member, _member, _channel, _token, _many, _deep, _binary, _fragments, _frames]
    return [kinds[number % len(kinds)](chance) for number in range(count)]


def _json_text(chance: random.Random) -> Hostile:
    """A JSON text by itself, or as an operation's id."""
    name, text = chance.choice([*RIGHT.items(), *WRONG.items()])
    if chance.random() < 0.5:
        text = b'{"op":"ping","id":' + text + b"}"
    return Hostile(f"JSON {name}", frame(text[:MESSAGE_BYTES]))


def _member(chance: random.Random) -> Hostile:
    """An operation with another value of a member, another member, a member twice, or one less."""
    document = dict(chance.choice(_VALID))
    name = chance.choice([*document, "op", "id", "from", "mode", "key", "\x00", "a" * 1000])
    value = chance.choice([value for value in VALUES if not isinstance(value, bytes)])
    kind = chance.randrange(5)
    if kind == 0:
        document.pop(name, None)
        return Hostile(f"without {name!a:.40}", frame(_dumped(document)))
    if kind == 1:
        text = _dumped(document)[:-1] + b"," + _dumped({name: value})[1:]
        return Hostile(f"{name!a:.40} twice or more", frame(text))
    document[name] = [value, *document[name]] if kind == 2 and isinstance(document.get(name), list) else value
    return Hostile(f"{document['op']!a:.40} with {name!a:.40} {value!a:.60}", frame(_dumped(document)))


def _channel(chance: random.Random) -> Hostile:
    names = chance.choices(_CHANNELS, k=chance.randint(1, 3))
    operation = chance.choice(["subscribe", "unsubscribe"])
    return Hostile(f"{operation} {names!a:.200}", frame(_dumped({"op": operation, "channels": names})))


def _token(chance: random.Random) -> Hostile:
    name, token = f"trades:{_SYMBOL}", chance.choice(_TOKENS)
    given = {chance.choice([name, name, "trades:OTHER", ""]): token}
    document = {"op": "subscribe", "channels": [name], "from": given}
    return Hostile(f"from {given!a}", frame(_dumped(document)))


def _many(chance: random.Random) -> Hostile:
    """More channels than a connection has, and messages about as long as they may be, or much longer."""
    count = chance.choice([1001, 5000, 10**6])
    names = chance.choice([[f"trades:{_SYMBOL}"] * count, ["a"] * count, [",".join(["A"] * count)]])
    return Hostile(f"{count} channels", frame(_dumped({"op": "subscribe", "channels": names})))


def _deep(chance: random.Random) -> Hostile:
    depth = chance.choice([100, 1000, 5_000, 30_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
    text = opening * depth + b"1" + closing * (depth if chance.random() < 0.7 else 0)
    if chance.random() < 0.5:
        text = b'{"op":"subscribe","channels":' + text + b"}"
    return Hostile(f"{depth} deep", frame(text))


def _binary(chance: random.Random) -> Hostile:
    payload = chance.choice(
        [
            chance.randbytes(chance.choice([1, 100, 10_000])),
            msgspec.msgpack.encode(_VALID[0]),
            _dumped(_VALID[0]),
            b"",
            bytes(1000),
            b"\x93" * 5000,
            b"\xdf\xff\xff\xff\xff",
        ]
    )
    if chance.random() < 0.5:
        return Hostile("bytes that are no UTF-8", frame(payload + b'"\xed\xa0\x80"'))
    return Hostile("binary", frame(payload, first=FINAL | BINARY))


def _fragments(chance: random.Random) -> Hostile:
    text = _dumped(_VALID[0])
    end = frame(b"", first=FINAL | CONTINUATION)
    first, more = frame(text, first=TEXT), frame(b"", first=CONTINUATION)
    return chance.choice(
        [
            Hostile("a fragment without an end", first, is_whole=False),
            Hostile("10,000 empty fragments", first + more * 10_000 + end),
            Hostile("fragments of a byte", frame(text[:1], first=TEXT) + _bytewise(text[1:]) + end),
            Hostile("fragments that are too long together", _long_fragments() + end),
            Hostile("an end without a beginning", end),
            Hostile("a message amid another", first + frame(text)),
            Hostile("a ping amid a message", first + frame(b"", first=FINAL | PING) + end),
            Hostile(
                "a character in two fragments", frame(b'"\xc3', first=TEXT) + frame(b'\xa9"', first=FINAL)
            ),
        ]
    )


def _bytewise(text: bytes) -> bytes:
    return b"".join(frame(bytes([byte]), first=CONTINUATION) for byte in text)


def _long_fragments() -> bytes:
    piece = b" " * 10_000
    return frame(piece, first=TEXT) + 9 * frame(piece, first=CONTINUATION)


def _frames(chance: random.Random) -> Hostile:
    """Frames that RFC 6455 does not have."""
    text = _dumped(_VALID[5])
    return chance.choice(
        [
            Hostile("unmasked", frame(text, is_masked=False)),
            Hostile("a reserved bit", frame(text, first=FINAL | 0x40 | TEXT)),
            Hostile("all reserved bits", frame(text, first=FINAL | 0x70 | TEXT)),
            Hostile("a reserved opcode", frame(text, first=FINAL | chance.choice([0x3, 0x7, 0xB, 0xF]))),
            Hostile("a fragment of a ping", frame(b"", first=PING), is_whole=False),
            Hostile("a long ping", frame(b"a" * 200, first=FINAL | PING)),
            Hostile("1,000 pings", frame(b"a" * 125, first=FINAL | PING) * 1000),
            Hostile("a close code of one byte", frame(b"a", first=FINAL | CLOSE)),
            Hostile("a close code that is none", frame(b"\x00\x05", first=FINAL | CLOSE)),
            Hostile("a reason that is no UTF-8", frame(b"\x03\xe8\xff", first=FINAL | CLOSE)),
            Hostile("a length of 2**63 - 1", b"\x81\xff\x7f" + b"\xff" * 7 + b"abcd", is_whole=False),
            Hostile("a length of 2**64 - 1", b"\x81\xff" + b"\xff" * 8 + b"abcd", is_whole=False),
            Hostile("a length in more bytes than it needs", b"\x81\xfe\x00\x02abcd" + b"{}", is_whole=False),
            Hostile("half a frame", frame(text)[:-5], is_whole=False),
            Hostile("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", is_whole=False),
            Hostile("bytes", chance.randbytes(1000), is_whole=False),
        ]
    )


def _dumped(document: Any) -> bytes:
    """JSON, also of what JSON does not have: infinite numbers, halves of characters."""
    return json.dumps(document).encode()
