"""The work of a call: counted where it is done, in amounts of a few kinds, each with a price in tokens.

The processor time of a call is measured, too: it pays for work of other kinds.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum

_MICROTOKENS = 1_000_000


class WorkKind(Enum):
    """A kind of work. The value is how much of it one token pays: about 5 ms of a processor.

    ROWS: answered, or of a batch that was read, stored or not. CORRECTIONS: read. DATES: event dates of which
    rows are stored or corrected. OPTIONS: priced. BYTES: of a body, decoded.
    """

    ROWS = 1_000
    CORRECTIONS = 200
    DATES = 10
    OPTIONS = 100
    BYTES = 2**20

    @property
    def per_token(self) -> int:
        """How much of it one token pays."""
        return self.value


class Work:
    """A sum of work, and the processor time that it took."""

    __slots__ = ("microtokens", "processor_ns")

    def __init__(self) -> None:
        self.microtokens = 0
        self.processor_ns = 0

    @property
    def tokens(self) -> int:
        """The price of the counted work in tokens, rounded up."""
        return -(-self.microtokens // _MICROTOKENS)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the processor time of this thread in the block."""
        began = time.thread_time_ns()
        try:
            yield
        finally:
            self.processor_ns += time.thread_time_ns() - began

    def count(self, kind: WorkKind, amount: int) -> None:
        """Add an amount of work."""
        self.microtokens += -(-amount * _MICROTOKENS // kind.per_token)

    def add(self, work: "Work") -> None:
        """Add what was counted elsewhere."""
        self.microtokens += work.microtokens
        self.processor_ns += work.processor_ns

    def count_tokens(self, tokens: int) -> None:
        """Add work whose price is known."""
        self.microtokens += tokens * _MICROTOKENS


_current: ContextVar[Work | None] = ContextVar("work", default=None)


def count_work(kind: WorkKind, amount: int) -> None:
    """Add an amount to the work of the current call. Without one, as in a command, nothing is counted."""
    work = _current.get()
    if work is not None:
        work.count(kind, amount)


def current_work() -> Work:
    """Return the current call's work; without a call, as in a command, a sum that nobody reads."""
    return _current.get() or Work()


@contextmanager
def counted_work(work: Work | None = None) -> Iterator[Work]:
    """Count what is done in this block, in this thread, and in nothing around it. work: what to add it to."""
    work = work or Work()
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)
