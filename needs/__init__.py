"""What a room needs of a higher one, which it may not import: declared below, handed over at start-up from above.

Knows none of the apps.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class NotHandedOver(RuntimeError):
    """A need is used before anything was handed over. The program must be wired at start-up."""


class Need(Generic[T]):
    """A typed place for one function or value of a higher room.

    The lower room declares it and calls `get`; the wiring module calls `hand_over` once, at start-up.
    """

    def __init__(self, name: str) -> None:
        """name: by which errors name it."""
        self._name = name
        self._make: Callable[[], T] | None = None
        self._made: list[T] = []

    def hand_over(self, make: Callable[[], T]) -> None:
        """Have `make` give the value when it is first needed. Raises RuntimeError if there is one already."""
        if self._make is not None:
            raise RuntimeError(f"{self._name} was handed over before")
        self._make = make

    def get(self) -> T:
        """The value. Raises NotHandedOver."""
        if not self._made:
            if self._make is None:
                raise NotHandedOver(f"{self._name} is needed, and nobody has handed it over")
            self._made = [self._make()]
        return self._made[0]

    @contextmanager
    def replaced(self, value: T) -> Iterator[None]:
        """Have another value meanwhile, in all threads: for tests."""
        before = self._make, self._made
        self._make, self._made = lambda: value, [value]
        try:
            yield
        finally:
            self._make, self._made = before
