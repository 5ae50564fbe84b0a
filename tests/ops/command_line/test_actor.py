"""Who runs a command, with a name and without."""

import os

import pytest

from ops.command_line import command_actor


def test_whoever_runs_a_command_is_called_by_name(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    assert command_actor() == "command:alice"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 12345"), OSError("No username set")])
def test_whoever_has_no_name_is_called_by_number(monkeypatch, error):
    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    assert command_actor() == f"command:{os.getuid()}"
