"""Names the work that calls the servers of a store."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class CallOrigin:
    """The program that has opened a store. correlation_id: returns the id of the work that calls; "" for none."""

    correlation_id: Callable[[], str] = str


ORIGIN = CallOrigin()
