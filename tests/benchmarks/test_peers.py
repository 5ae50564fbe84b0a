"""A run without the peers that were asked for fails, without PEERS it says that they are left out; the floor needs none."""

from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.__main__ import main
from benchmarks.clients import Connection
from benchmarks.peers import PeersMissing, peers_missing, uvicorn_peer


@pytest.fixture
def named(monkeypatch, tmp_path) -> Path:
    """An empty folder that PEERS names."""
    monkeypatch.setattr(peers, "_PEERS", str(tmp_path))
    return tmp_path


def add(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "app.py").touch()


def test_without_the_variable_the_peers_are_left_out(monkeypatch):
    monkeypatch.setattr(peers, "_PEERS", "")
    assert peers_missing() == "PEERS is unset"


def test_a_folder_without_peers_is_an_error_that_names_what_is_missing(named):
    add(named, "naive")
    with pytest.raises(PeersMissing, match=rf"{named}, which has no pipelined/app.py$"):
        peers_missing()


def test_a_run_on_a_folder_without_peers_measures_nothing_and_says_why(named, capsys):
    assert main(["--only", "greeks"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no naive/app.py and no pipelined/app.py" in printed.err


def test_peers_without_their_packages_are_left_out(named, monkeypatch, tmp_path):
    for name in ("naive", "pipelined"):
        add(named, name)
    monkeypatch.setattr(peers, "PEER_VENV", tmp_path / "none")
    assert "requirements-bench.txt" in str(peers_missing())


def test_the_floor_answers_the_bytes_that_it_was_given():
    with uvicorn_peer() as floor, Connection(floor.server) as connection:
        for body in (b"one", b"two " * 50_000):
            floor.serve(body)
            assert connection.exchange(floor.server.request("GET", floor.target)) == body
