"""What a caller may still store: checked before a write, counted after it. A higher app keeps the quotas."""

from collections.abc import Callable
from typing import Any, Protocol

from ops.needs import Need
from store.protocol import Amendment, Append, Receipt
from trades.stores import market_store, write_measured


class StorageAllowance(Protocol):
    """What one caller may still store."""

    def check(self, creates_symbol: Callable[[], bool]) -> None:
        """Raise an error if the caller may not store more, or not create a symbol and the write does so."""

    def count(self, *, symbols: int, stored_bytes: int) -> None:
        """Count what a write has stored after `check`: the symbols that it created, and the bytes."""


ALLOWANCE_OF: Need[Callable[[Any], StorageAllowance]] = Need("trades.allowances.ALLOWANCE_OF")
"""Returns the allowance of a request's user."""


def write_allowed(
    request: Append | Amendment, write: Callable[[], Receipt], allowance: StorageAllowance | None
) -> Receipt:
    """Call `write`, which stores the request, within a caller's allowance. None allows, and counts, anything.

    Raises the allowance's errors; then nothing was stored.
    """
    if allowance is None:
        return write_measured(request.dataset, write)
    allowance.check(lambda: not market_store().heads(request.dataset, [request.symbol]))
    receipt = write_measured(request.dataset, write)
    if receipt.stored_bytes:
        is_first = receipt.commit.number == 1
        allowance.count(symbols=int(is_first), stored_bytes=receipt.stored_bytes)
    return receipt
