"""Turns to check a password: a check takes a processor a third of a second, so a process makes one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Condition

from ratelimit.exceptions import PasswordChecksBusy

LONGEST_WAIT_SECONDS = 2.0
# Of each kind. So many checks take less than the longest wait, unless attempts at known addresses come first.
MOST_WAITING = 4


class PasswordTurns:
    """The turns of one process. Thread-safe.

    Attempts at known addresses go first, and neither kind can fill the places of the other.
    """

    def __init__(self) -> None:
        self._freed = Condition()
        self._is_taken = False
        self._waiting = {True: 0, False: 0}

    @contextmanager
    def turn(self, *, is_known: bool, seconds: float = LONGEST_WAIT_SECONDS) -> Iterator[None]:
        """Wait for the turn, and keep it during the block.

        is_known: whether the attempt's address is a known one of its name. Raises PasswordChecksBusy after so many
        seconds, and at once if MOST_WAITING attempts of this kind wait.
        """
        with self._freed:
            if self._waiting[is_known] >= MOST_WAITING:
                raise PasswordChecksBusy
            self._waiting[is_known] += 1
            try:
                is_free = self._freed.wait_for(lambda: self._is_free(is_known=is_known), seconds)
            finally:
                self._waiting[is_known] -= 1
            if not is_free:
                raise PasswordChecksBusy
            self._is_taken = True
        try:
            yield
        finally:
            with self._freed:
                self._is_taken = False
                self._freed.notify_all()

    def waiting(self, *, is_known: bool) -> int:
        """Return how many attempts of a kind wait."""
        return self._waiting[is_known]

    def _is_free(self, *, is_known: bool) -> bool:
        return not self._is_taken and (is_known or not self._waiting[True])


@cache
def password_turns() -> PasswordTurns:
    """Return the turns of this process."""
    return PasswordTurns()
