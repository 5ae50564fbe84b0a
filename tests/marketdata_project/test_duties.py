"""The worker: its duties, its heartbeat, its end."""

import os
import signal
import threading
import time
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from prometheus_client import REGISTRY

from marketdata_project import duties
from marketdata_project.duties import DUTIES, HOUR, Duty, DutyThreads, duty_try, store_duties
from marketdata_project.management.commands import worker
from ops.serve.database_lock import DutyLock
from ops.serve.status import Heartbeat
from ratelimit.keys.services import key_create
from ratelimit.models import ApiKey
from tests.front.front_server import eventually
from tests.patience import PATIENCE_SECONDS
from web.idempotency.models import SealedAnswer


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


@pytest.fixture(autouse=True)
def unchanged_process(monkeypatch):
    """The command lowers the priority of its process and sets up its allocator. Here that process runs other tests, too."""
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(worker, "tune_malloc", lambda: None)
    # tests/system has the lock of many hosts.
    monkeypatch.setattr(connection, "vendor", "sqlite")


@pytest.fixture
def command(monkeypatch, settings, tmp_path):
    """The worker as a command of this process, with given duties only."""
    settings.RUN_DIR = tmp_path
    monkeypatch.setattr(worker, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(worker, "store_duties", tuple)

    def run(*duties: Duty, **options: bool) -> None:
        monkeypatch.setattr(worker, "DUTIES", duties)
        call_command("worker", **options)

    return run


@pytest.mark.usefixtures("own_signals")
def test_the_worker_survives_an_error_and_ends_on_sigterm(monkeypatch, command, tmp_path, caplog):
    rounds: list[datetime] = []

    def collect(*, now):
        rounds.append(now)
        if len(rounds) == 1:
            raise OSError("the disk is away")
        assert eventually((tmp_path / "worker.heartbeat").exists)
        os.kill(os.getpid(), signal.SIGTERM)

    tidied = []
    monkeypatch.setattr(duties, "close_old_connections", lambda: tidied.append(len(rounds)))
    command(Duty(collect, period=HOUR, after_error=0))
    assert tidied == [1, 2]
    assert all(now.tzinfo is not None for now in rounds)
    assert "collect failed" in caplog.text
    assert "the disk is away" in caplog.text
    assert not (tmp_path / "worker.heartbeat").exists()


def test_of_many_hosts_one_runs_a_duty_and_each_runs_its_own(monkeypatch):
    ran: list[str] = []
    monkeypatch.setattr(duties, "SECOND", 0.01)

    def everywhere(*, now):
        ran.append("everywhere")

    def once(*, now):
        ran.append("once")

    lock = DutyLock()
    threads = DutyThreads([Duty(everywhere, period=0.01, of_each_host=True), Duty(once, period=0.01)], lock)
    assert eventually(lambda: ran.count("everywhere") > 3)
    assert "once" not in ran
    lock.look()
    assert eventually(lambda: "once" in ran)
    threads.stop(patience=PATIENCE_SECONDS)


def test_a_lock_is_trusted_for_three_seconds(monkeypatch):
    lock = DutyLock()
    lock.look()
    assert lock.is_held
    later = time.monotonic() + 3
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not lock.is_held


def test_a_worker_of_a_web_host_runs_the_duties_of_the_host_only(monkeypatch, command):
    begun: list[object] = []

    def begin(*given):
        begun.extend(given)
        raise ZeroDivisionError

    monkeypatch.setattr(worker, "DutyThreads", begin)
    own, other = (Duty(lambda *, now: None, period=1, of_each_host=each) for each in (True, False))
    for options, expected, is_held in (({}, [own, other], True), ({"of_host": True}, [own], False)):
        begun.clear()
        with pytest.raises(ZeroDivisionError):
            command(own, other, **options)
        found, lock = begun
        assert found == expected
        assert isinstance(lock, DutyLock)
        assert lock.is_held == is_held


def test_runs_of_duties_are_counted(monkeypatch):
    monkeypatch.setattr(duties, "close_old_connections", lambda: None)

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"marketdata_duty_{name}", {"duty": "watched", **labels}) or 0

    def watched(*, now):
        if value("last_success_timestamp_seconds"):
            raise OSError("the disk is away")

    began = time.time()
    assert [duty_try(Duty(watched, period=0)) for _ in range(3)] == [True, False, False]
    assert (value("runs_total", outcome="done"), value("runs_total", outcome="failed")) == (1, 2)
    assert value("last_success_timestamp_seconds") >= began
    assert value("duration_seconds_total") > 0


@pytest.mark.usefixtures("own_signals")
def test_a_duty_that_stands_still_delays_no_other_and_the_end_only_so_long(monkeypatch, command):
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 0.01)
    released, times = threading.Event(), iter(range(100))

    def stand(*, now):
        released.wait(PATIENCE_SECONDS)

    def often(*, now):
        if next(times) == 50:
            os.kill(os.getpid(), signal.SIGTERM)

    command(Duty(stand, period=HOUR), Duty(often, period=0))
    standing = [thread for thread in threading.enumerate() if thread.name == "stand"]
    assert len(standing) == 1
    released.set()
    standing[0].join(PATIENCE_SECONDS)


def test_a_failure_to_tidy_up_is_one_of_the_duty(monkeypatch, caplog):
    monkeypatch.setattr(duties, "close_old_connections", lambda: 1 // 0)
    assert not duty_try(Duty(lambda *, now: None, period=1))
    assert "ZeroDivisionError" in caplog.text


def test_a_busy_database_is_one_line_of_the_log(monkeypatch, caplog):
    monkeypatch.setattr(duties, "close_old_connections", lambda: None)

    def collect(*, now):
        raise OperationalError("database is locked")

    assert not duty_try(Duty(collect, period=1))
    (record,) = caplog.records
    assert "collect failed: database is locked" in record.getMessage()
    assert record.exc_info is None


def test_nothing_that_must_be_done_is_left_out():
    assert {duty.service.__name__ for duty in DUTIES} == {
        "spool_collect", "memory_release", "nonces_delete_expired", "keys_watch", "answers_delete_old", "quota_usage_delete_old", "records_delete_old",
        "head_log", "schedules_submit", "jobs_delete_old", "confirmations_expire", "uploads_delete_old", "deliveries_send", "events_delete_old", "alerts_watch", "feeds_watch", "exports_delete_old", "exhausted_retry",
        "sessions_delete_expired", "known_addresses_delete_old", "rows_expire",
    }  # fmt: skip


def test_derived_files_are_kept_by_a_store_that_has_them(monkeypatch):
    assert [duty.service.__name__ for duty in store_duties()] == ["derived_keep"]
    monkeypatch.setattr(duties, "derived_keeper", lambda: None)
    assert store_duties() == ()


@pytest.mark.usefixtures("own_signals")
def test_the_worker_ends_with_its_parent(monkeypatch, settings, tmp_path):
    settings.RUN_DIR = tmp_path
    monkeypatch.setattr(worker, "DUTIES", ())
    monkeypatch.setattr(Heartbeat, "beat", lambda _: pytest.fail("lived on"))
    call_command("worker", parent=os.getpid())


@pytest.mark.django_db
def test_it_warns_of_keys_and_forgets_answers(monkeypatch):
    monkeypatch.setattr(duties, "close_old_connections", lambda: None)
    now = timezone.now()
    key_create(
        name="feed",
        scopes=["market:read"],
        expires_at=now + timedelta(days=2),
        now=now - timedelta(days=30),
        actor="test",
    )
    SealedAnswer.objects.create(
        identity="key:1", path="/", idempotency_key="k", created_at=now - timedelta(days=2)
    )
    assert all(
        duty_try(each) for each in DUTIES if each.service.__name__ in {"keys_watch", "answers_delete_old"}
    )
    assert ApiKey.objects.get().warned_at is not None
    assert not SealedAnswer.objects.exists()
