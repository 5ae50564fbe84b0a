"""The circuit breaker, by a clock of the test."""

import pytest

from ops.breaker import Breaker

FIRST, SECOND = object(), object()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Refused(Exception):
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker_of(clock: Clock, *, failures: int = 1) -> Breaker:
    return Breaker(pause=1, refusal=Refused, failures=failures, clock=clock)


def is_refused(subject: Breaker, caller: object) -> bool:
    try:
        subject.check(caller)
    except Refused:
        return True
    return False


def test_after_a_pause_one_caller_probes(clock):
    subject = breaker_of(clock)
    assert not is_refused(subject, FIRST)
    subject.failed(FIRST)
    assert is_refused(subject, FIRST)
    assert is_refused(subject, SECOND)
    clock.now += 1
    assert subject.check(SECOND)
    assert not subject.check(SECOND)
    assert is_refused(subject, FIRST)
    subject.succeeded()
    assert not is_refused(subject, FIRST)
    assert not subject.is_open


def test_a_failed_probe_starts_another_pause_and_others_failures_do_not(clock):
    subject = breaker_of(clock)
    subject.failed(FIRST)
    clock.now += 1
    subject.check(FIRST)
    subject.failed(SECOND)
    subject.lost(SECOND)
    assert not is_refused(subject, FIRST)
    subject.lost(FIRST)
    assert is_refused(subject, FIRST)


def test_a_probe_that_never_reports_is_given_up(clock):
    subject = breaker_of(clock)
    subject.failed(FIRST)
    clock.now += 1
    subject.check(FIRST)
    clock.now += 1
    assert subject.check(SECOND)
    assert is_refused(subject, FIRST)


def test_only_failures_in_a_row_open_it_and_then_each_failed_probe_does(clock):
    subject = breaker_of(clock, failures=2)
    for _ in range(3):
        subject.failed(FIRST)
        assert not is_refused(subject, FIRST)
        subject.succeeded()
    subject.failed(FIRST)
    subject.failed(SECOND)
    assert is_refused(subject, FIRST)
    clock.now += 1
    subject.check(FIRST)
    subject.failed(FIRST)
    assert is_refused(subject, FIRST)
    clock.now += 1
    subject.check(FIRST)
    subject.succeeded()
    subject.failed(FIRST)
    assert not is_refused(subject, FIRST)
