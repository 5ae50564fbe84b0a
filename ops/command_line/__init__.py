"""Helpers for the commands of all apps: the actor for the audit log, and what to do without standard streams or their reader."""

import getpass
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# The exit status that a shell reports for a program killed by SIGPIPE.
_SIGPIPE_STATUS = 128 + signal.SIGPIPE


def command_actor() -> str:
    """Return the user as an actor of the audit log: `command:alice`, or `command:1000` for a user without a name."""
    try:
        return f"command:{getpass.getuser()}"
    except (KeyError, OSError):  # containers often run as a user id that has no name
        return f"command:{os.getuid()}"


def open_standard_streams() -> None:
    """Open /dev/null as each standard stream that this program began without, as after `2>&-`.

    Otherwise the next file or socket that is opened would get the stream's descriptor, and all that is printed.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            os.set_inheritable(descriptor, True)  # dup2 does not, if the number is the same
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", closefd=False))  # noqa: SIM115 stays open


def discard_output() -> None:
    """Send the standard output to /dev/null, once nobody reads it.

    Otherwise the interpreter would flush its buffer to it at exit, and fail again.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def quiet_without_a_reader() -> Iterator[None]:
    """Exit with status 141, without a traceback, if the reader of standard output ends first, as `head` does.

    SIGPIPE itself stays ignored, because it would end a server when a client disconnects. A BrokenPipeError of another
    pipe is raised.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        discard_output()
        sys.exit(_SIGPIPE_STATUS)


def _reader_is_gone() -> bool:
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # 0, because poll reports errors without being asked
    return bool(output.poll(0))
