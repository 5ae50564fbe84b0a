"""How long attempts to log in wait, on a clock that tests set: by the script in Redis, and by processes without Redis."""

from typing import Any

import pytest
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from ratelimit.limits import login_backoff
from ratelimit.limits.login_backoff import ADDRESS, KNOWN, NAME, Attempt, LoginBackoff
from ratelimit.limits.token_bucket import SECOND_US

START_US = 5_000 * SECOND_US
FREE = 5
HOME, ELSEWHERE = "198.51.100.1", "203.0.113.7"


class World:
    """Processes of one installation, their clock, and a Redis that goes by that clock and can be away."""

    def __init__(self, *, workers: int = 1) -> None:
        self.now_us = START_US
        self.is_away = False
        self.processes = [
            LoginBackoff(workers=workers, clock=lambda: self.now_us * 1000) for _ in range(workers)
        ]
        get_redis_connection("default").flushall()

    def take_shared(self, attempt: Attempt, **details: Any) -> int:
        if self.is_away:
            raise RedisError("away")
        return take_shared(attempt, now_us=self.now_us, **details)

    def attempt(
        self, *, name: str = "ada", address: str = ELSEWHERE, is_known: bool = False, worker: int = 0
    ) -> int:
        """The wait of an attempt with a wrong password; 0 if it was made."""
        return self.processes[worker].take(Attempt(name, address, is_known))

    def login(self, *, address: str = ELSEWHERE, is_known: bool = False) -> int:
        """The wait of an attempt with the right password; 0 if it was made."""
        attempt = Attempt("ada", address, is_known)
        wait_us = self.processes[0].take(attempt)
        if wait_us == 0:
            self.processes[0].succeeded(attempt)
        return wait_us

    def waits(self, count: int, **attempt: Any) -> list[float]:
        """The seconds that each of some attempts is told to wait, each made after the wait before."""
        told = []
        for _ in range(count):
            wait_us = self.attempt(**attempt)
            if wait_us:
                self.now_us += wait_us
                assert self.attempt(**attempt) == 0
            told.append(wait_us / SECOND_US)
        return told


class Stranger:
    """Guesses the password of one name from one address, at every opportunity.

    It does not ask before it would be told something else: asking earlier changes nothing.
    """

    def __init__(self, world: World, address: str, *, worker: int = 0) -> None:
        self._world = world
        self._address = address
        self._worker = worker
        self._next_us = 0

    def tries(self) -> bool:
        """Whether it gets a try now."""
        if self._world.now_us < self._next_us:
            return False
        wait_us = self._world.attempt(address=self._address, worker=self._worker)
        self._next_us = self._world.now_us + wait_us
        return wait_us == 0


take_shared = login_backoff.take_shared


@pytest.fixture
def made_world(project_redis, settings, monkeypatch):
    settings.LOGIN_FREE_FAILURES = FREE

    def made(**terms: Any) -> World:
        world = World(**terms)
        monkeypatch.setattr("ratelimit.limits.login_backoff.take_shared", world.take_shared)
        return world

    return made


@pytest.fixture(params=["redis", "process"])
def world(made_world, request):
    made: World = made_world()
    made.is_away = request.param == "process"
    return made


def doubled(longest_us: int, count: int) -> list[float]:
    return [min(longest_us / SECOND_US, 2.0**number) for number in range(count)]


@pytest.mark.parametrize("is_known", [False, True])
def test_failures_at_one_address_wait_twice_as_long_each_time(world, is_known):
    longest_us = KNOWN.longest_us if is_known else ADDRESS.longest_us
    assert world.waits(18, is_known=is_known) == [0.0] * (FREE + 1) + doubled(longest_us, 12)


def test_failures_with_one_name_wait_wherever_they_are_made(world):
    told = [world.waits(1, address=f"192.0.2.{number}")[0] for number in range(14)]
    assert told == [0.0] * (FREE + 1) + doubled(NAME.longest_us, 8)


def test_failures_with_many_names_at_one_address_wait(world):
    assert [world.waits(1, name=f"name {number}")[0] for number in range(9)] == [0.0] * (FREE + 1) + [1, 2, 4]


def test_an_attempt_before_its_time_changes_nothing(world):
    world.waits(FREE + 1)
    assert [world.attempt() for _ in range(20)] == [SECOND_US] * 20
    world.now_us += SECOND_US - 1
    assert world.attempt() == 1
    world.now_us += 1
    assert world.attempt() == 0


def test_a_login_ends_the_waits(world):
    world.waits(FREE + 4)
    world.now_us += 8 * SECOND_US
    assert world.login() == 0
    assert world.waits(FREE + 2) == [0.0] * (FREE + 1) + [1]


@pytest.mark.parametrize(
    ("backoff", "terms"),
    [
        (ADDRESS, lambda number: {"name": f"name {number}"}),
        (NAME, lambda number: {"address": f"192.0.2.{number}"}),
        (KNOWN, lambda _: {"is_known": True}),
    ],
    ids=["address", "name", "known"],
)
def test_failures_are_forgotten_after_a_quiet_time(world, backoff, terms):
    for number in range(FREE + 1):
        world.attempt(**terms(number))
    world.now_us += SECOND_US + backoff.forgotten_us
    for number in range(FREE + 1):
        assert world.attempt(**terms(number)) == 0


def test_attempts_at_the_same_time_gain_nothing(made_world):
    world = made_world(workers=3)
    told = [world.attempt(worker=number % 3) for number in range(50)]
    assert told.count(0) == FREE + 1


def test_strangers_do_not_make_a_known_address_wait(world):
    for number in range(30):
        world.attempt(address=f"192.0.2.{number}")
    for number in range(30):
        world.attempt(name=f"name {number}", address=HOME)
    assert world.attempt(address=ELSEWHERE) > 0
    assert world.attempt(name="another", address=HOME) > 0
    assert world.login(address=HOME, is_known=True) == 0


def test_a_login_at_a_known_address_does_not_help_strangers(world):
    world.waits(FREE + 4)
    assert world.login(address=HOME, is_known=True) == 0
    assert world.attempt() > 0


def test_who_failed_less_goes_first(world):
    """An address waits longer for a name that others fail with, too: two seconds for each failure of its own."""
    for number in range(FREE + 20):
        world.waits(1, address=f"192.0.2.{number}")
    for failures in range(3):
        address = f"198.51.100.{failures}"
        for number in range(failures):
            world.attempt(name=f"name {number}", address=address)
        assert world.attempt(address=address) / SECOND_US == 30 + 2 * failures
    world.now_us += 30 * SECOND_US
    assert [world.attempt(address=f"198.51.100.{failures}") > 0 for failures in (2, 1, 0)] == [
        True,
        True,
        False,
    ]


def test_who_failed_often_waits_at_most_twice_as_long_for_a_name(world):
    for number in range(FREE):
        world.attempt(name=f"name {number}")
    for number in range(FREE + 2):
        world.waits(1, address=f"192.0.2.{number}")
    assert world.attempt() / SECOND_US == 2 + 2


def test_who_has_another_limit_to_wait_for_is_not_counted(world):
    attempt = Attempt("ada", ELSEWHERE, is_known=False)
    assert [world.processes[0].take(attempt, is_counted=False) for _ in range(20)] == [0] * 20
    assert world.waits(FREE + 2)[-1] == 1
    assert world.processes[0].take(attempt, is_counted=False) == 2 * SECOND_US


def test_processes_without_redis_admit_no_more_together(made_world):
    world = made_world(workers=2)
    world.is_away = True
    asking = [Stranger(world, f"192.0.2.{number // 2}", worker=number % 2) for number in range(32)]
    tries = 0
    for _ in range(3600):
        world.now_us += SECOND_US
        tries += sum(stranger.tries() for stranger in asking)
    assert tries <= 2 * (FREE + 1) + 3600 // 30 + 10


def test_the_memory_of_a_process_is_bounded(made_world):
    world = made_world()
    world.is_away = True
    process = LoginBackoff(workers=1, remembered=4)
    for number in range(10):
        process.take(Attempt(f"name {number}", f"address {number}", is_known=False))
    assert len(process._local) == 4


@pytest.mark.parametrize("kind", ["address", "name"])
@pytest.mark.parametrize("value", ["", "1", "9 x", "-1 5", f"9 {10**30}", "9" * 40])
def test_a_malformed_state_counts_as_none(made_world, kind, value):
    world = made_world()
    world.waits(FREE + 1)
    key = next(key for key in Attempt("ada", ELSEWHERE, is_known=False).keys if f":{kind}:" in key)
    get_redis_connection("default").set(key, value)
    assert world.attempt() in {0, SECOND_US}
    world.now_us += SECOND_US
    assert world.attempt() == 0


def test_a_clock_that_is_set_back_does_not_lock_out(made_world):
    world = made_world()
    world.waits(FREE + 15)
    world.now_us -= 10 * 3600 * SECOND_US
    assert world.attempt() == 0


def test_keys_expire_by_themselves(project_redis, settings):
    # The first failure is followed by the longest wait, which a slow machine does not outlast.
    settings.LOGIN_FREE_FAILURES = -20
    client = get_redis_connection("default")
    attempt = Attempt("ada", ELSEWHERE, is_known=False)
    assert take_shared(attempt) == 0
    address, name = attempt.keys
    assert set(client.keys("*")) == {address.encode(), name.encode()}
    for key, longest_us in (
        (address, ADDRESS.forgotten_us + ADDRESS.longest_us),
        (name, NAME.forgotten_us + NAME.longest_us),
    ):
        assert longest_us - 60 * SECOND_US < client.pttl(key) * 1000 <= longest_us + 1000


# An hour of guessing: 16 addresses try 10 passwords a second of one name.
SECONDS = 3600
# At once; while the wait doubles; and after that.
BOUND = (FREE + 1) + 5 + SECONDS // 30


def test_how_many_tries_strangers_get_while_the_owner_is_at_home(made_world):
    world = made_world()
    strangers = [Stranger(world, f"192.0.2.{number}") for number in range(16)]
    tries, refused = 0, 0
    for tenth in range(10 * SECONDS):
        world.now_us = START_US + tenth * SECOND_US // 10
        tries += strangers[tenth % 16].tries()
        if tenth % 600 == 0:
            refused += world.login(address=HOME, is_known=True) > 0
    assert refused == 0
    assert 50 < tries <= BOUND, f"{tries} tries"


def test_the_owner_at_an_unknown_address_is_admitted_in_a_minute(made_world):
    """The strangers have failed before. The owner comes every ten minutes, and asks again a second after it may."""
    world = made_world()
    strangers = [Stranger(world, f"192.0.2.{number}") for number in range(16)]
    began, next_at = 0, 900
    waited: list[int] = []
    for tenth in range(10 * SECONDS):
        world.now_us = START_US + tenth * SECOND_US // 10
        strangers[tenth % 16].tries()
        if tenth == 10 * next_at:
            began = began or next_at
            wait_us = world.attempt(address=f"2001:db8:{len(waited)}::/64")
            if wait_us:
                next_at += -(-wait_us // SECOND_US) + 1
            else:
                waited.append(next_at - began)
                began, next_at = 0, next_at + 600
    assert len(waited) >= 4
    assert max(waited) <= 60
