"""A benchmark counts no wrong answer, says which goals are missed, and runs with the peers that it was promised."""

from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks import peers
from benchmarks.__main__ import main
from benchmarks.clients import Connection
from benchmarks.live import Acknowledged, check_complete
from benchmarks.live_clients import Message, Received
from benchmarks.report import Goal, Ratio, UnexpectedAnswer
from benchmarks.servers import Server

pytestmark = pytest.mark.system

STORED = [Acknowledged("L0000", f"{number}-abcdef", number) for number in (1, 2)]
MESSAGES = [Message(n + 0.25, f"{n}-abcdef.99", f"{n - 1}-abcdef.99", 100) for n in (1, 2)]
COMPLETE = Received("trades:L0000", "0-abcdef.99", MESSAGES)


def test_delays_are_from_acknowledgement_to_receipt():
    assert check_complete([COMPLETE], STORED) == [250, 250]


@pytest.mark.parametrize(
    "messages",
    [MESSAGES[:1], [*MESSAGES, MESSAGES[-1]], MESSAGES[::-1], [replace(MESSAGES[0], rows=99), MESSAGES[1]]],
    ids=["missing", "repeated", "out of order", "row missing"],
)
def test_a_client_without_each_row_once_and_in_order_fails_the_run(messages):
    with pytest.raises(UnexpectedAnswer, match="trades:L0000"):
        check_complete([replace(COMPLETE, messages=messages)], STORED)


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(429)


def test_a_refusal_is_no_answer():
    with HTTPServer(("127.0.0.1", 0), Refusing) as http:
        Thread(target=http.handle_request, daemon=True).start()
        server = Server("127.0.0.1", http.server_port, ["key"], Path(), ())
        with Connection(server) as connection, pytest.raises(UnexpectedAnswer, match="429"):
            connection.exchange(server.request("GET", "/"))


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (Ratio("a ratio", 9, 2, "answers/s", Goal(least=5)), "**missed**"),
        (Ratio("a figure", 4, 1, "µs", Goal(most=5, unit="µs")), "met"),
        (Ratio("less is better", 3, 2, "ms", rival=True), "**loses**"),
        (Ratio("more is better", 3, 9, "answers/s", Goal(least=0.3), rival=True), "met, **loses**"),
    ],
    ids=lambda value: value.name if isinstance(value, Ratio) else "",
)
def test_a_row_says_whether_its_goal_is_met_and_who_wins(row, outcome):
    assert row.outcome == outcome


def test_a_run_whose_folder_of_peers_is_empty_measures_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(peers, "_PEERS", str(tmp_path))
    assert main(["--only", "gaps"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no naive/app.py and no pipelined/app.py" in printed.err
