"""Keys of cached answers: complete, readable, scannable by symbol.

`mktdata:AAPL:ohlcv:end=20&interval=1min&start=10:trades=17-9f3a2c:json`

Every field is percent-encoded, so `:`, `&` and the glob characters of SCAN occur only as separators: the
pattern of `A` matches neither `AB` nor `A:B` nor `A*`.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import quote

PREFIX = "mktdata"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
# Longer fields are hashed.
_LONGEST = 2_048


def escaped(text: str) -> str:
    """`text`, percent-encoded except for letters, digits and `_.~-`. Different texts give different results."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="", errors="surrogatepass")


def symbol_prefix(symbol: str) -> str:
    """The prefix of every key of `symbol`, and of no other symbol's key."""
    return f"{PREFIX}:{escaped(symbol)}:"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """Everything that one stored representation depends on. `str()` is the key; different values, different keys.

    parameters: (name, value) pairs in any order; None means not given. version: that of the queried window.
    representation: format and encoding, with a revision if a format changes.
    """

    symbol: str
    dataset: str
    parameters: tuple[tuple[str, str | int | None], ...] = ()
    version: str
    representation: str

    def __str__(self) -> str:
        given = sorted(
            f"{escaped(name)}={escaped(str(value))}" for name, value in self.parameters if value is not None
        )
        fields_ = (
            PREFIX,
            escaped(self.symbol),
            escaped(self.dataset),
            _shortened("&".join(given)),
            _shortened(quote(self.version, safe="=,", errors="surrogatepass")),
            escaped(self.representation),
        )
        return ":".join(fields_)


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """Annotates a dataclass field that is left out of keys; `reason` says why no answer depends on it."""

    reason: str


# Annotates a dataclass field that is part of keys but may differ between the pages of one walk.
DIFFERS_BY_PAGE = "differs by page"


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A value's part of a key: its fields by name, and the version of all logs in it."""

    parameters: tuple[tuple[str, str], ...]
    version: str


def key_parts(value: object, *, of_walk: bool = False) -> KeyParts:
    """The key parts of a frozen dataclass: every field except the `Irrelevant` ones, nested as `outer.inner`.

    A field is a text, a number, an enum, a tuple, an object with a `key` (a log, if it has a `dataset` too),
    or a dataclass of these. None is left out. of_walk: leave out `DIFFERS_BY_PAGE` fields, too. Raises
    `TypeError` for any other value, as two of them could not be told apart.
    """
    parameters: list[tuple[str, str]] = []
    versions: list[str] = []
    for path, leaf in _leaves("", value, of_walk):
        if isinstance(leaf, str):
            parameters.append((path, leaf))
        elif hasattr(leaf, "dataset"):
            versions.append(f"{leaf.dataset.name}={leaf.key}")
        else:
            parameters.append((path, leaf.key))
    return KeyParts(tuple(parameters), ",".join(versions))


def _leaves(path: str, value: Any, of_walk: bool) -> Iterator[tuple[str, Any]]:
    """Every text, and every value that has a `key`, with its path."""
    text = _text(value)
    if text is not None:
        yield path, text
    elif value is None:
        return
    elif hasattr(value, "key"):
        yield path, value
    elif isinstance(value, tuple):
        yield from _of_tuple(path, value, of_walk)
    elif is_dataclass(value) and not isinstance(value, type):
        for name in _names(type(value), of_walk):
            yield from _leaves(f"{path}.{name}" if path else name, getattr(value, name), of_walk)
    else:
        raise TypeError(f"{path}: a {type(value).__name__} cannot be part of a key")


def _of_tuple(path: str, values: tuple[Any, ...], of_walk: bool) -> Iterator[tuple[str, Any]]:
    texts = [_text(value) for value in values]
    if None not in texts:
        yield path, ",".join(escaped(text or "") or "%" for text in texts)  # "%": one empty text, not none
    elif len(values) == 1:
        yield from _leaves(path, values[0], of_walk)
    elif all(hasattr(value, "key") for value in values):
        yield from ((f"{path}.{number}", value) for number, value in enumerate(values))
    else:
        every = [key_parts(value, of_walk=of_walk) if value is not None else None for value in values]
        yield path, hashlib.sha256(repr(every).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _text(value: object) -> str | None:
    """A simple value as text; None for any other."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, str | int) else None


@cache
def _names(kind: type[Any], of_walk: bool) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if not _is_left_out(each.type, of_walk))


def _is_left_out(annotation: Any, of_walk: bool) -> bool:
    notes = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return any(isinstance(note, Irrelevant) or (of_walk and note == DIFFERS_BY_PAGE) for note in notes)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else hashlib.sha256(text.encode()).hexdigest()
