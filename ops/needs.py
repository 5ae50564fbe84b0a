"""Dependency inversion: a lower package declares a value that it needs from a higher package without importing it.

`marketdata_project` provides the values at start-up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class NotProvided(RuntimeError):
    """A value was used before it was provided. Call the code that provides it at start-up."""


class Need(Generic[T]):
    """One function or value from a higher package.

    The lower package declares it and calls `get`. The start-up code calls `provide` once.
    """

    def __init__(self, name: str) -> None:
        """Declare a need. name: its dotted name, for error messages."""
        self._name = name
        self._make: Callable[[], T] | None = None
        self._values: list[T] = []

    def provide(self, make: Callable[[], T]) -> None:
        """Register `make`, which the first `get` calls. Raises RuntimeError if something is registered already."""
        if self._make is not None:
            raise RuntimeError(f"{self._name} was already provided")
        self._make = make

    def get(self) -> T:
        """Return the value. Raises NotProvided."""
        if not self._values:
            if self._make is None:
                raise NotProvided(f"{self._name} was not provided; wire the program at start-up")
            self._values = [self._make()]
        return self._values[0]

    @contextmanager
    def replaced(self, value: T) -> Iterator[None]:
        """Use another value inside the context, in all threads. For tests."""
        original = self._make, self._values
        self._make, self._values = lambda: value, [value]
        try:
            yield
        finally:
            self._make, self._values = original
