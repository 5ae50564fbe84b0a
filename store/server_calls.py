"""What a program that has opened a store watches of the store's calls of servers."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass


@dataclass(slots=True)
class CallWatcher:
    """correlation_id: of the work that calls; "" for none. span: returns a context that is entered for each call of a server."""

    correlation_id: Callable[[], str] = str
    span: Callable[[str, str], AbstractContextManager[object]] = lambda _name, _kind: nullcontext()


WATCHER = CallWatcher()
