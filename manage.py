#!/usr/bin/env python
"""Django's command line for this project."""

import os
import select
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

# What a shell says of a program that SIGPIPE ended.
READER_GONE = 141


def run() -> None:
    """Run the command that the arguments name. A reader that has gone, as `head` does, ends it without a word."""
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        # What is left is for nobody: the interpreter would fail over it once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)


def _reader_is_gone() -> bool:
    """Whether nobody reads the standard output: a broken pipe may be another one."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


if __name__ == "__main__":
    # What a command makes is nobody else's to read: the database, the secret key, market data.
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.development")
    run()
