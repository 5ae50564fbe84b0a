"""Decodes large bodies in child processes (`trades.children`).

A large body would hold this process's interpreter lock for up to a second. So a child reads it in bounded memory, sends the
result and ends.
"""

import resource
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from store.datasets import DATASETS
from trades.batches.row_batch import BatchOptions
from trades.children import MEMORY_BYTES, MEMORY_FACTOR, child, memory_limited
from trades.exceptions import DecoderEnded
from web.requests.exceptions import MalformedDocument, RequestError
from web.requests.work import counted_work, current_work


class HasBytes(Protocol):
    """A decoded body."""

    @property
    def nbytes(self) -> int:
        """About how many bytes of memory it takes."""


Decoded = TypeVar("Decoded", bound=HasBytes)
Read = Callable[[bytes, BatchOptions], Decoded]

# What a batch takes until it is stored, at most: so many times its own bytes.
_STORING_FACTOR = 2
# Smaller bodies are decoded at once: for them a process costs more than it spares. Of JSON also those of twice the size
# with few values: a row of a batch has a value for every 20 bytes or so, and ten thousand rows take 5 ms.
LARGE_BYTES = 2**19
_MOST_VALUES = 2**16
# The kernel ends a child after so much processor time.
_MOST_SECONDS = 30
_COMMA, _LINE_END = b",\n"


def decoded(
    read: Read[Decoded],
    body: bytes,
    options: BatchOptions,
    keep_memory: Callable[[int], object] | None = None,
) -> Decoded:
    """Return `read(body, options)`, a large body's from a process of its own. Raises its errors; `DecoderEnded`.

    read: a function of a module. What it returns, and its `RequestError`s, are pickled. Its work is counted here, also
    that of a refused body. keep_memory: called once the body is decoded, with the bytes of memory that storing the
    batch takes; None if no memory was reserved.
    """
    result = _decoded_apart(read, body, options) if _is_slow(body) else read(body, options)
    if keep_memory is not None:
        keep_memory(_STORING_FACTOR * result.nbytes)
    return result


def _is_slow(body: bytes) -> bool:
    """Return whether decoding a body may hold the interpreter lock for long."""
    if len(body) <= LARGE_BYTES:
        return False
    if len(body) > 2 * LARGE_BYTES or body[:1] not in {b"{", b"["}:
        return True
    characters = np.frombuffer(body, np.uint8)
    # Values end with a comma; lines of JSON and their values perhaps only with a line end.
    ends = np.count_nonzero(characters == _COMMA) + np.count_nonzero(characters == _LINE_END)
    return bool(ends > _MOST_VALUES)


def _decoded_apart(read: Read[Decoded], body: bytes, options: BatchOptions) -> Decoded:
    try:
        terms = options.dataset.name, options.ignore_unknown, dict(options.given)
        with child(_decode, read, *terms) as connection:
            return cast("Decoded", _asked(connection, body, options))
    except (EOFError, OSError) as error:
        raise DecoderEnded from error


def _asked(connection: Connection, body: bytes, options: BatchOptions) -> Any:
    """Send a body to a child, answer its questions, and return its result."""
    connection.send_bytes(body)
    questions = {"canonical": options.canonical, "nonpositive": options.allows_nonpositive_price}
    while True:
        kind, value = connection.recv()
        if kind in questions:
            connection.send(questions[kind](value))
        elif kind == "work":
            current_work().add(value)
        elif kind == "raised":
            raise _error(*value)
        else:  # "done"
            return value


def _error(kind: type[Exception], message: str, state: dict[str, Any]) -> Exception:
    """Return an error as it was raised in the child."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    vars(error).update(state)
    return error


def _decode(
    parent: Connection, read: Read[HasBytes], dataset: str, ignore_unknown: bool, given: dict[str, Any]
) -> None:
    """Read the body that comes next (the task of a child)."""
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    options = BatchOptions(
        DATASETS[dataset],
        ignore_unknown,
        given,
        lambda symbol: _ask(parent, "canonical", symbol),
        lambda symbol: _ask(parent, "nonpositive", symbol),
    )
    body = parent.recv_bytes()
    with counted_work() as work, work.timed():
        try:
            with memory_limited((MEMORY_FACTOR - 1) * len(body) + MEMORY_BYTES):
                answer: tuple[str, Any] = "done", read(body, options)
        except MemoryError:
            answer = "raised", _pickled(_too_large(body))
        except Exception as error:  # noqa: BLE001 raised in the other process
            if not isinstance(error, RequestError):
                error.add_note(traceback.format_exc())
            answer = "raised", _pickled(error)
    parent.send(("work", work))
    parent.send(answer)


def _pickled(error: Exception) -> tuple[type[Exception], str, dict[str, Any]]:
    return type(error), str(error), vars(error)


def _too_large(body: bytes) -> MalformedDocument:
    mib = (MEMORY_FACTOR * len(body) + MEMORY_BYTES) >> 20
    return MalformedDocument(
        "document_too_large",
        f"reading the body takes more than {mib} MiB of memory, as many small values do, or many rows of which one is"
        " wrong; send fewer rows at a time",
    )


def _ask(parent: Connection, question: str, symbol: str) -> Any:
    parent.send((question, symbol))
    return parent.recv()
