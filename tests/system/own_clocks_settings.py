"""A machine of one's own on which each process has a clock of its own: its offset stands in a file named by its number.

Only for processes that run with libfaketime, which looks into that file once a second.
"""

import os

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.development import DATA_DIR


def _take_own_clock() -> None:
    os.environ["FAKETIME_TIMESTAMP_FILE"] = str(DATA_DIR.parent / f"clock-{os.getpid()}")


_take_own_clock()
os.register_at_fork(after_in_child=_take_own_clock)
