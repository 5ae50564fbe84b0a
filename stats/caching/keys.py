"""Keys of cached answers: symbol, dataset, parameters, version, identity of the store, and representation.

`mktdata:AAPL:ohlcv:end=20&interval=1min&start=10:trades=17-9f3a2c:STORE:json`

Every field is percent-encoded. So `:` and `&` occur only as separators, and the glob characters of SCAN do not
occur: the pattern for the symbol `A` matches neither `AB` nor `A:B` nor `A*`.
"""

import hashlib
import re
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache, lru_cache
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import quote

from store.resolutions import Resolution

PREFIX = "mktdata"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
# In characters. A longer field is replaced by its hash.
_MAX_FIELD_LENGTH = 2_048


def escaped(text: str) -> str:
    """Percent-encode a text except for letters, digits and `_.~-`. Different texts give different results."""
    return text if _PLAIN.fullmatch(text) else quote(text, safe="", errors="surrogatepass")


_escaped_name = lru_cache(maxsize=1_024)(escaped)


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


def answer_prefix(parts: KeyParts, *, symbol: str, dataset: str, store: str) -> str:
    """Return the key of an answer up to its representation. Different answers have different prefixes.

    store: `MarketStore.identity`.
    """
    parameters = sorted([f"{_escaped_name(name)}={escaped(value)}" for name, value in parts.parameters])
    fields_ = (
        PREFIX,
        escaped(symbol),
        escaped(dataset),
        _shortened("&".join(parameters)),
        _shortened(quote(parts.version or "none", safe="=,", errors="surrogatepass")),
        escaped(store),
        "",
    )
    return ":".join(fields_)


def key_parts(value: object, *, of_walk: bool = False) -> KeyParts:
    """Return the key parts of a frozen dataclass: all its fields except those that are `Irrelevant` or None.

    A field may be a text, a number, an enum, a tuple, an object with a `key` (a log if it also has a `dataset`),
    or a dataclass of these, whose fields are named `outer.inner`. of_walk: leave out `DIFFERS_BY_PAGE` fields, too.

    Raises `TypeError` for any other value, because its key might not be unique.
    """
    parts = _Parts(of_walk)
    parts.add("", value)
    return KeyParts(tuple(parts.parameters), ",".join(parts.versions))


class _Parts:
    """The parts of a key, while they are collected. A key has some 70 values, so each of them has a short way."""

    __slots__ = ("_of_walk", "parameters", "versions")

    def __init__(self, of_walk: bool) -> None:
        self._of_walk = of_walk
        self.parameters: list[tuple[str, str]] = []
        self.versions: list[str] = []

    def add(self, path: str, value: Any) -> None:
        """Add a value. path: its field, or `outer.inner`."""
        if value is None:
            return
        text = _text(value)
        if text is not None:
            self.parameters.append((path, text))
        elif (key := getattr(value, "key", None)) is not None:
            if (dataset := getattr(value, "dataset", None)) is not None:
                self.versions.append(f"{dataset.name}={key}")
            else:
                self.parameters.append((path, key))
        elif isinstance(value, tuple):
            self._add_tuple(path, value)
        elif is_dataclass(value) and not isinstance(value, type):
            self._add_fields(path, value)
        else:
            raise TypeError(f"{path}: a {type(value).__name__} cannot be part of a key")

    def _add_fields(self, path: str, value: Any) -> None:
        """Add the fields of a dataclass. Most of them are None, texts or numbers, which need no call."""
        before, append = f"{path}." if path else "", self.parameters.append
        for name in _field_names(type(value), self._of_walk):  # type: ignore[arg-type]
            field = getattr(value, name)
            kind = type(field)
            if kind is str:
                append((before + name, field))
            elif kind is int or kind is bool:
                append((before + name, str(field)))
            elif field is not None:
                self.add(before + name, field)

    def _add_tuple(self, path: str, values: tuple[Any, ...]) -> None:
        texts = [_text(value) for value in values]
        if None not in texts:
            # "%" tells a tuple of one empty text from an empty tuple.
            self.parameters.append((path, ",".join([escaped(text or "") or "%" for text in texts])))
        elif len(values) == 1:
            self.add(path, values[0])
        elif all(hasattr(value, "key") for value in values):
            for number, value in enumerate(values):
                self.add(f"{path}.{number}", value)
        else:
            parts = [None if value is None else key_parts(value, of_walk=self._of_walk) for value in values]
            digest = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass"))
            self.parameters.append((path, digest.hexdigest()[:32]))


def _text(value: object) -> str | None:
    """Return the text of an enum, number or text; None for any other value."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]
    if kind is int or kind is bool:
        return str(value)
    if isinstance(value, Enum | Resolution):
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
