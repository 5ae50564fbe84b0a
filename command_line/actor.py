"""Who runs a command."""

import getpass
import os


def command_actor() -> str:
    """The user's name as an actor of the audit log, `command:alice`; the number of one who has no name."""
    try:
        return f"command:{getpass.getuser()}"
    except (KeyError, OSError):
        # A user without a name, as containers have them.
        return f"command:{os.getuid()}"
