"""What a command does whose output nobody reads to its end, as `head` does not."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What a shell calls the end of a program that SIGPIPE killed.
_BY_SIGPIPE = 128 + signal.SIGPIPE


@contextmanager
def quiet_without_a_reader() -> Iterator[None]:
    """End the program without a traceback, with status 141, once nobody reads its standard output.

    SIGPIPE itself stays ignored: it would end a server by a client that goes away. Other broken pipes are
    raised.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        # What is left is written at the exit, which would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BY_SIGPIPE)


def _reader_is_gone() -> bool:
    if sys.stdout is None:
        return False
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # errors alone, which are told unasked
    return bool(output.poll(0))
