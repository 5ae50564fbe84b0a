"""One password is checked at a time; who waits for a turn, and for how long."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from ratelimit.credentials.people.password_turns import MOST_WAITING, PasswordTurns
from ratelimit.exceptions import PasswordChecksBusy
from tests.front.front_server import eventually


class Checks:
    """Attempts, each in a thread; who got its turn is noted in order."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.turns = PasswordTurns()
        self.made: list[str] = []
        self._threads = threads

    def waits(self, name: str, *, is_known: bool = False) -> "Future[None]":
        """Begin an attempt; return when it waits."""
        before = self.turns.waiting(is_known=is_known)
        check = self._threads.submit(self._check, name, is_known)
        assert eventually(lambda: self.turns.waiting(is_known=is_known) == before + 1)
        return check

    def _check(self, name: str, is_known: bool) -> None:
        with self.turns.turn(is_known=is_known, seconds=60):
            self.made.append(name)


@pytest.fixture
def checks() -> Iterator[Checks]:
    with ThreadPoolExecutor(2 * MOST_WAITING) as threads:
        yield Checks(threads)


def test_who_comes_from_a_known_address_goes_first(checks):
    with checks.turns.turn(is_known=False):
        begun = [checks.waits("a stranger"), checks.waits("the owner", is_known=True)]
        assert checks.made == []
    assert [check.result() for check in begun] == [None, None]
    assert checks.made == ["the owner", "a stranger"]


def test_so_many_wait_and_strangers_take_no_place_of_others(checks):
    with checks.turns.turn(is_known=False):
        for number in range(MOST_WAITING):
            checks.waits(f"stranger {number}")
        with pytest.raises(PasswordChecksBusy), checks.turns.turn(is_known=False):
            pass
        checks.waits("the owner", is_known=True)


def test_nobody_waits_longer_than_allowed(checks):
    with checks.turns.turn(is_known=False):
        with pytest.raises(PasswordChecksBusy), checks.turns.turn(is_known=True, seconds=0):
            pass
        assert checks.turns.waiting(is_known=True) == 0


def test_a_check_that_fails_ends_its_turn(checks):
    with pytest.raises(ValueError, match="it"), checks.turns.turn(is_known=False):
        raise ValueError("it")
    with checks.turns.turn(is_known=False, seconds=0):
        pass
