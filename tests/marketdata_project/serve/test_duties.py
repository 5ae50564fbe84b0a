"""The worker: its duties, its heartbeat, its end."""

import os
import signal
import time
from datetime import datetime

import pytest
from django.core.management import call_command

from marketdata_project.management.commands import worker
from marketdata_project.serve import duties
from marketdata_project.serve.duties import DUTIES, Duty, Rota
from marketdata_project.serve.heartbeat import Heartbeat
from metrics.declarations import DUTY_LAST_SUCCESS, DUTY_RUNS, DUTY_SECONDS
from tests.patience import PATIENCE_SECONDS


def test_a_heartbeat_ages_and_ends(tmp_path):
    heartbeat = Heartbeat(tmp_path / "run")
    assert heartbeat.age(now=0) is None
    heartbeat.beat()
    assert 60 <= (heartbeat.age(now=time.time() + 60) or 0) <= 60 + PATIENCE_SECONDS
    heartbeat.stop()
    assert heartbeat.age(now=0) is None


@pytest.fixture
def own_signals():
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_the_worker_survives_an_error_and_ends_on_sigterm(monkeypatch, settings, tmp_path, caplog):
    settings.RUN_DIR = tmp_path
    rounds: list[datetime] = []

    def collect(*, now):
        rounds.append(now)
        if len(rounds) == 1:
            raise OSError("the disk is away")
        assert (tmp_path / "worker.heartbeat").exists()
        os.kill(os.getpid(), signal.SIGTERM)

    tidied = []
    monkeypatch.setattr(worker, "Rota", lambda: Rota([Duty(collect, every=0, after_error=0)]))
    monkeypatch.setattr(duties, "close_old_connections", lambda: tidied.append(len(rounds)))
    monkeypatch.setattr(worker, "PERIOD_SECONDS", 0.01)
    call_command("worker")
    assert tidied == [1, 2]
    assert all(now.tzinfo is not None for now in rounds)
    assert "the disk is away" in caplog.text
    assert not (tmp_path / "worker.heartbeat").exists()


def test_runs_of_duties_are_counted(monkeypatch):
    monkeypatch.setattr(duties, "close_old_connections", lambda: None)

    def watched(*, now):
        if DUTY_LAST_SUCCESS.series().get(("watched",)):
            raise OSError("the disk is away")

    rota = Rota([Duty(watched, every=0, after_error=0)])
    began = time.time()
    for _ in range(3):
        rota.round()
    runs = {labels[1]: count for labels, [count] in DUTY_RUNS.series().items() if labels[0] == "watched"}
    assert runs == {"done": 1, "failed": 2}
    assert DUTY_LAST_SUCCESS.series()["watched",][0] >= began
    assert DUTY_SECONDS.series()["watched",][0] > 0


def test_duties_are_done_when_they_are_due_and_again_sooner_after_an_error(monkeypatch, caplog):
    monkeypatch.setattr(duties, "close_old_connections", lambda: None)
    done: list[tuple[str, float]] = []
    now = 0.0

    def often(*, now):
        done.append(("often", clock()))

    def seldom(*, now):
        done.append(("seldom", clock()))
        if clock() == 0:
            raise OSError("not yet")

    def clock() -> float:
        return now

    rota = Rota([Duty(often, every=1, after_error=1), Duty(seldom, every=100, after_error=3)], clock)
    for second in range(7):
        now = float(second)
        rota.round()
    assert [at for name, at in done if name == "often"] == list(range(7))
    assert [at for name, at in done if name == "seldom"] == [0, 3]
    assert "seldom failed" in caplog.text


def test_nothing_that_must_be_done_is_left_out():
    assert {duty.work.__name__ for duty in DUTIES} == {
        "spool_collect", "nonces_forget", "keys_watch", "answers_forget", "quotas_forget_old", "retention_keep",
    }  # fmt: skip


@pytest.mark.usefixtures("own_signals")
def test_the_worker_ends_with_its_parent(monkeypatch, settings, tmp_path):
    settings.RUN_DIR = tmp_path
    monkeypatch.setattr(Rota, "round", lambda _: pytest.fail("worked"))
    call_command("worker", parent=os.getpid())
