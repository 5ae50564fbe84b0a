"""Keys of cached answers: symbol, dataset, parameters, version and representation.

`mktdata:AAPL:ohlcv:end=20&interval=1min&start=10:trades=17-9f3a2c:json`

Every field is percent-encoded. So `:` and `&` occur only as separators, and the glob characters of SCAN do not
occur: the pattern for the symbol `A` matches neither `AB` nor `A:B` nor `A*`.
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
# In characters. A longer field is replaced by its hash.
_MAX_FIELD_LENGTH = 2_048


def escaped(text: str) -> str:
    """Percent-encode a text except for letters, digits and `_.~-`. Different texts give different results."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="", errors="surrogatepass")


def symbol_prefix(symbol: str) -> str:
    """Return the prefix of all keys of `symbol`. No other symbol's keys have it."""
    return f"{PREFIX}:{escaped(symbol)}:"


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """Marks a dataclass field that is left out of keys. reason: why no answer depends on it."""

    reason: str


# Marks a dataclass field that is part of keys, but may differ between the pages of one walk (see `stats.cursors`).
DIFFERS_BY_PAGE = "differs by page"


@dataclass(frozen=True, slots=True)
class KeyParts:
    """The parts of a key that come from a value. version: the commits of all logs in the value."""

    parameters: tuple[tuple[str, str], ...]
    version: str


def answer_prefix(parts: KeyParts, *, symbol: str, dataset: str) -> str:
    """Return the key of an answer up to its representation. Different answers have different prefixes."""
    parameters = sorted(f"{escaped(name)}={escaped(value)}" for name, value in parts.parameters)
    fields_ = (
        PREFIX,
        escaped(symbol),
        escaped(dataset),
        _shortened("&".join(parameters)),
        _shortened(quote(parts.version or "none", safe="=,", errors="surrogatepass")),
        "",
    )
    return ":".join(fields_)


def key_parts(value: object, *, of_walk: bool = False) -> KeyParts:
    """Return the key parts of a frozen dataclass: all its fields except those that are `Irrelevant` or None.

    A field may be a text, a number, an enum, a tuple, an object with a `key` (a log if it also has a `dataset`),
    or a dataclass of these, whose fields are named `outer.inner`. of_walk: leave out `DIFFERS_BY_PAGE` fields, too.

    Raises `TypeError` for any other value, because its key might not be unique.
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
    """Yield every text, and every value that has a `key`, each with its path."""
    text = _text(value)
    if text is not None:
        yield path, text
    elif value is None:
        return
    elif hasattr(value, "key"):
        yield path, value
    elif isinstance(value, tuple):
        yield from _leaves_of_tuple(path, value, of_walk)
    elif is_dataclass(value) and not isinstance(value, type):
        for name in _field_names(type(value), of_walk):
            yield from _leaves(f"{path}.{name}" if path else name, getattr(value, name), of_walk)
    else:
        raise TypeError(f"{path}: a {type(value).__name__} cannot be part of a key")


def _leaves_of_tuple(path: str, values: tuple[Any, ...], of_walk: bool) -> Iterator[tuple[str, Any]]:
    texts = [_text(value) for value in values]
    if None not in texts:
        # "%" tells a tuple of one empty text from an empty tuple.
        yield path, ",".join(escaped(text or "") or "%" for text in texts)
    elif len(values) == 1:
        yield from _leaves(path, values[0], of_walk)
    elif all(hasattr(value, "key") for value in values):
        yield from ((f"{path}.{number}", value) for number, value in enumerate(values))
    else:
        parts = [None if value is None else key_parts(value, of_walk=of_walk) for value in values]
        yield path, hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _text(value: object) -> str | None:
    """Return the text of an enum, number or text; None for any other value."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, str | int) else None


@cache
def _field_names(dataclass_type: type[Any], of_walk: bool) -> tuple[str, ...]:
    return tuple(each.name for each in fields(dataclass_type) if not _is_left_out(each.type, of_walk))


def _is_left_out(annotation: Any, of_walk: bool) -> bool:
    notes = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return any(isinstance(note, Irrelevant) or (of_walk and note == DIFFERS_BY_PAGE) for note in notes)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_FIELD_LENGTH else hashlib.sha256(text.encode()).hexdigest()
