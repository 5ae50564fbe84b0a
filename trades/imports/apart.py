"""Reads files in child processes (`trades.children`), so that a small file does not take much memory."""

import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from trades.children import LIFE_SECONDS, child, memory_limited
from trades.exceptions import ImportRefused

# A function of a module that gets a path, and yields tables.
Read = Callable[..., Iterator[pa.Table]]


def tables_apart(read: Read, path: Path, *arguments: Any, memory: int) -> Iterator[pa.Table]:
    """Yield the tables that `read(path, *arguments)` yields in a child process.

    memory: it takes at most so many bytes (on Linux).

    Raises `ImportRefused` for more memory, or more than a minute for a table; what `read` raises.
    """
    with child(_send, read, (path, *arguments), memory) as connection:
        while (answer := _received(connection, path)) is not None:
            if isinstance(answer, Exception):
                raise answer
            yield answer


def _received(connection: Connection, path: Path) -> pa.Table | Exception | None:
    """Return the next table, or the error of a child; None at the end."""
    try:
        error: object = connection.recv()
        if isinstance(error, Exception):
            return error
        stream = connection.recv_bytes()
    except (EOFError, OSError) as ended:
        raise ImportRefused(
            f"{path}: the process that read the file was ended: it takes more than {LIFE_SECONDS} s for some rows; write"
            " smaller pieces, such as row groups of Parquet, or try again"
        ) from ended
    if not stream:
        return None
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_all()


def _send(parent: Connection, read: Read, arguments: tuple[Path, *tuple[Any, ...]], memory: int) -> None:
    """Send each table after a None, and an empty one at the end; or an error (the task of a child)."""
    try:
        with memory_limited(memory):
            for table in read(*arguments):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, table.schema) as stream:
                    stream.write_table(table)
                signal.alarm(0)  # the parent takes its time
                parent.send(None)
                parent.send_bytes(sink.getvalue())
                signal.alarm(LIFE_SECONDS)
    except MemoryError:
        parent.send(
            ImportRefused(
                f"{arguments[0]}: reading some rows takes more than {memory >> 20:,} MiB of memory, much more than their"
                " bytes in the file; write fewer rows, or shorter texts, in each file of JSON, or page and row group of Parquet"
            )
        )
    except Exception as error:  # noqa: BLE001 raised in the other process
        parent.send(error)
    else:
        parent.send(None)
        parent.send_bytes(b"")
