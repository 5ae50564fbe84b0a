"""An iterator that runs in a thread of its own, a few items ahead."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


class _Ahead(Generic[Item]):
    def __init__(self, items: Iterator[Item], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _Ended] = queue.Queue(depth)
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if not isinstance(item, _Ended):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return

    def leave(self) -> None:
        """End the thread, and wait until it has ended."""
        self._is_left.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.01)
            except queue.Empty:
                continue

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._queue.put(item)
                if self._is_left.is_set():
                    return
        except BaseException as raised:  # noqa: BLE001 the thread that reads must be told, whatever it is
            error = raised
        self._queue.put(_Ended(error))


@contextmanager
def read_ahead(items: Iterator[Item], *, depth: int = 1) -> Iterator[Iterator[Item]]:
    """The items, of which up to `depth` + 1 are made before they are asked for. Their errors come in their place."""
    ahead = _Ahead(items, depth)
    try:
        yield iter(ahead)
    finally:
        ahead.leave()
