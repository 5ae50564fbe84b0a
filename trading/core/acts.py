"""Acts: what decides, in the state of an account, which events follow."""

from collections.abc import Callable

from trading.core.account import AccountState
from trading.core.events import Event
from trading.core.matching import Record

Act = Callable[[AccountState, Record], object]
"""Decides what follows for an account, and records it."""


class _Recorded(Exception):
    """An act would record something."""


def _note(_: Event) -> None:
    raise _Recorded


def would_record(act: Act, state: AccountState) -> bool:
    """Return whether an act would record something. The state stays as it is, because the first record ends the act."""
    try:
        act(state, _note)
    except _Recorded:
        return True
    return False
