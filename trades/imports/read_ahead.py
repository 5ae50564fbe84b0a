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
        self._made: queue.SimpleQueue[Item | _Ended] = queue.SimpleQueue()
        self._may_make = threading.Semaphore(depth)
        self._is_left = False
        self._thread = threading.Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._made.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            self._may_make.release()
            yield item
            del item  # it is not to be held while the next one is waited for

    def leave(self) -> None:
        """End the thread, and wait until it has ended."""
        self._is_left = True
        self._may_make.release()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._may_make.acquire() and not self._is_left:
                self._made.put(next(self._items))
        except StopIteration:
            self._made.put(_Ended(None))
        except BaseException as error:  # noqa: BLE001 the thread that reads must be told, whatever it is
            self._made.put(_Ended(error))


@contextmanager
def read_ahead(items: Iterator[Item], *, depth: int = 1) -> Iterator[Iterator[Item]]:
    """The items, of which up to `depth` are made before they are asked for.

    Their errors come in their place.
    """
    ahead = _Ahead(items, depth)
    try:
        yield iter(ahead)
    finally:
        ahead.leave()
