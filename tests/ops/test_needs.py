"""A need is provided once, made when it is first used, and named in the error if nobody provided it."""

import subprocess
import sys

import pytest
from django.conf import settings

from ops.needs import Need, NotProvided


def test_what_was_provided_is_made_once_when_it_is_first_needed():
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    need: Need[list[int]] = Need("a need")
    need.provide(make)
    assert made == []
    assert need.get() is need.get() is made[0]
    assert len(made) == 1


def test_what_nobody_provided_is_named():
    need: Need[int] = Need("some.room.A_NEED")
    with pytest.raises(NotProvided, match=r"some\.room\.A_NEED"):
        need.get()


def test_it_is_provided_once():
    need: Need[int] = Need("some.room.A_NEED")
    need.provide(lambda: 1)
    with pytest.raises(RuntimeError, match=r"some\.room\.A_NEED"):
        need.provide(lambda: 2)
    assert need.get() == 1


def test_a_room_that_is_used_without_wiring_fails_clearly():
    code = "from audit.needs import PERSON_MAY; PERSON_MAY.get()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    assert "NotProvided: audit.needs.PERSON_MAY was not provided" in done.stderr
