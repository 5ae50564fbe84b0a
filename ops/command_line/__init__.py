"""Helpers for the commands of all apps."""

import getpass
import os


def command_actor() -> str:
    """Return the user as an actor of the audit log: `command:alice`, or `command:1000` for a user without a name."""
    try:
        return f"command:{getpass.getuser()}"
    except (KeyError, OSError):  # containers often run as a user id that has no name
        return f"command:{os.getuid()}"
