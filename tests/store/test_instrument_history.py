"""A history of instruments under several threads."""

import sys
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from store.instruments import Instrument, InstrumentHistory

CHECKS = 50


@pytest.fixture
def switching_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("switching_often")
def test_a_check_goes_on_while_another_thread_adds_aliases() -> None:
    history = InstrumentHistory()
    for number in range(5_000):
        history.add(0, Instrument(f"OLD{number}", aliases=(f"A{number}",)))
    is_done = threading.Event()

    def add() -> None:
        for number in count():
            if is_done.is_set():
                return
            history.add(1, Instrument(f"NEW{number}", aliases=(f"N{number}",)))

    adding = threading.Thread(target=add)
    adding.start()
    try:
        for _ in range(CHECKS):
            history.check([Instrument("IBM", aliases=("INTL",))], lambda _symbol: False)
    finally:
        is_done.set()
        adding.join()
