"""Servers that the tests of one xdist group share.

With xdist they end after the last test of their group: an idle installation takes 7 % of a core, one with the feed of the
sample 25 %. Without xdist the tests of a group do not follow one another, and the servers run to the end of the session.
"""

import os
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest

Server = TypeVar("Server")
_running = ExitStack()


def until_group_ends(server: AbstractContextManager[Server]) -> Server:
    """Start a server for a fixture with `scope="session"`. All tests that use the fixture must be in one xdist group."""
    return _running.enter_context(server)


def end_servers() -> None:
    """End all servers that run."""
    _running.close()


def end_servers_of_group(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End all servers that run if a test was the last one of its group."""
    if "PYTEST_XDIST_WORKER" in os.environ and (nextitem is None or group_of(nextitem) != group_of(item)):
        end_servers()


def group_of(item: pytest.Item) -> str:
    """Return the name of a test's xdist group, or ""."""
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else ""
