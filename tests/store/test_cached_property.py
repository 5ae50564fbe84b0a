"""Instances of a class compute their properties at the same time, each once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from store.cached_property import cached_property
from tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class Slow:
    meeting: threading.Barrier
    calls: list[int] = field(default_factory=list)

    @cached_property
    def value(self) -> int:
        """The number of calls so far."""
        self.meeting.wait(PATIENCE_SECONDS)
        self.calls.append(1)
        return len(self.calls)


def test_no_instance_waits_for_another():
    meeting = threading.Barrier(4)
    instances = [Slow(meeting) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        # With one lock for all, nobody would come to the meeting.
        assert list(threads.map(lambda each: each.value, instances)) == [1, 1, 1, 1]


def test_a_value_is_kept_and_the_property_documented():
    instance = Slow(threading.Barrier(1))
    assert (instance.value, instance.value, len(instance.calls)) == (1, 1, 1)
    assert Slow.value.__doc__ == "The number of calls so far."
