"""The parts of `serve`, one by one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import orjson
import pytest
import uvicorn
from django.conf import settings
from django.core import signals
from django.core.management import call_command
from django.db import close_old_connections

from marketdata_project.front.lanes import Lane
from marketdata_project.front.refusals import APPLICATION_FAILED, BODY_TOO_SLOW, HEADERS_TOO_LARGE, MALFORMED
from marketdata_project.management.commands import worker
from marketdata_project.problem_body import TITLES, TYPE_BASE
from marketdata_project.problems import Problem
from marketdata_project.serve import duties, embedded_redis, warm, web
from marketdata_project.serve.child import Child, Program, restart_delay
from marketdata_project.serve.duties import DUTIES, Duty, Rota
from marketdata_project.serve.embedded_redis import EmbeddedRedis
from marketdata_project.serve.heartbeat import Heartbeat
from marketdata_project.serve.installation import (
    AlreadyRunning,
    FolderUnavailable,
    PortUnavailable,
    RedisMissing,
    address_of,
    make_private_folder,
    open_listener,
    sole_user,
    url_of,
)
from marketdata_project.serve.parent import end_with_parent, parent_is
from marketdata_project.serve.signals import SignalInbox
from tests.marketdata_project.front_server import eventually
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="md-") as name:
        yield Path(name)


@pytest.fixture
def redis(folder):
    return EmbeddedRedis(socket_path=folder / "sockets" / "redis.sock", run_dir=folder)


def launch(redis: EmbeddedRedis) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(redis.command())
    assert eventually(redis.answers)
    return process


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_redis_left_behind_is_ended_and_its_place_is_free(redis, frozen):
    redis.prepare()
    left_behind = launch(redis)
    if frozen:
        left_behind.send_signal(signal.SIGSTOP)
    # Reaped at once, as init does with what lost its parent.
    threading.Thread(target=left_behind.wait).start()
    redis.prepare()
    assert eventually(lambda: left_behind.returncode is not None)
    assert not redis.socket_path.exists()
    successor = launch(redis)
    successor.terminate()
    assert successor.wait(PATIENCE_SECONDS) == 0
    redis.tidy()
    assert not redis.socket_path.parent.exists()


def test_a_socket_that_nobody_listens_on_is_removed(redis):
    redis.prepare()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(redis.socket_path))
    assert redis.socket_path.exists()
    assert not redis.answers()
    redis.prepare()
    assert not redis.socket_path.exists()


def test_a_socket_folder_of_somebody_else_is_refused(folder):
    (folder / "target").mkdir()
    (folder / "link").symlink_to("target")
    with pytest.raises(FolderUnavailable, match="belongs to somebody else"):
        make_private_folder(folder / "link")
    if os.geteuid() == 0:
        os.chown(folder / "target", 12345, 12345)
        with pytest.raises(FolderUnavailable, match="belongs to somebody else"):
            make_private_folder(folder / "target")


def test_an_open_folder_of_ours_is_made_private(folder):
    (folder / "run").mkdir(mode=0o755)
    make_private_folder(folder / "run")
    assert (folder / "run").stat().st_mode & 0o777 == 0o700


def test_redis_is_taken_from_the_path_without_the_wheel_else_redis_url_is_named(monkeypatch, folder):
    monkeypatch.setattr(embedded_redis, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RedisMissing, match="REDIS_URL"):
        embedded_redis.redis_binary()
    (folder / "redis-server").touch(mode=0o755)
    assert embedded_redis.redis_binary() == folder / "redis-server"


def test_an_error_of_whoever_uses_the_folder_stays_what_it_is(folder):
    with pytest.raises(OSError, match="a disk of its own"):
        with sole_user(folder):
            raise OSError("a disk of its own")
    with pytest.raises(FolderUnavailable):
        with sole_user(folder / "missing"):
            pytest.fail("used")


def test_a_data_folder_has_one_user_at_a_time(folder):
    with sole_user(folder):
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            with sole_user(folder):
                pytest.fail("two users")
    with sole_user(folder):
        pass


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", r"[::1]")]
)
def test_a_listener_takes_a_free_port_and_knows_its_address(host, url):
    with open_listener(host=host, port=0) as listener:
        _, port = address_of(listener)
        assert port > 0
        assert url_of(listener) == f"http://{url}:{port}"
        socket.create_connection(address_of(listener), timeout=PATIENCE_SECONDS).close()
        with pytest.raises(PortUnavailable, match=f":{port}: Address already in use"):
            open_listener(host=host, port=port)


def test_an_address_of_another_machine_is_said():
    with pytest.raises(
        PortUnavailable, match=r"^Cannot listen on 192\.0\.2\.1:1: Cannot assign requested address\.$"
    ):
        open_listener(host="192.0.2.1", port=1)


def test_restart_delays_grow_to_a_bound():
    delays = [restart_delay(failures) for failures in range(1, 2000)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays == sorted(delays)
    assert max(delays) == 5.0


def program(*command: str, **options) -> Program:
    return Program("a child", lambda: list(command), dict(os.environ), end_with_parent(), **options)


def test_a_child_tells_how_it_ended_once():
    child = Child(program(sys.executable, "-c", "raise SystemExit(3)"))
    child.start()
    assert child.process is not None
    pid = child.process.pid
    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert child.reap() == f"a child (process {pid}) ended with exit code 3"
    assert child.reap() is None
    assert not child.running
    assert [child.postpone() for _ in range(3)] == [0.1, 0.2, 0.4]


def test_a_child_of_a_killed_process_is_killed(folder):
    script = (
        "import os, subprocess, sys, time\n"
        "from marketdata_project.serve.parent import end_with_parent\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=end_with_parent())\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    assert eventually(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_parent_is_known_by_its_id():
    assert parent_is(None)
    assert parent_is(os.getppid())
    assert not parent_is(os.getpid())


def test_signals_are_received_in_an_inbox_and_afterwards_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with SignalInbox([signal.SIGTERM, signal.SIGUSR1]) as inbox:
        assert inbox.wait(0) == frozenset()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert eventually(lambda: inbox.wait(0.1) & {signal.SIGTERM, signal.SIGUSR1})
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_heartbeat_ages_and_ends(folder):
    heartbeat = Heartbeat(folder / "run")
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
def test_the_worker_survives_an_error_and_ends_on_sigterm(monkeypatch, settings, folder, caplog):
    settings.RUN_DIR = folder
    rounds: list[datetime] = []

    def collect(*, now):
        rounds.append(now)
        if len(rounds) == 1:
            raise OSError("the disk is away")
        assert (folder / "worker.heartbeat").exists()
        os.kill(os.getpid(), signal.SIGTERM)

    tidied = []
    monkeypatch.setattr(worker, "Rota", lambda: Rota([Duty(collect, every=0, after_error=0)]))
    monkeypatch.setattr(duties, "close_old_connections", lambda: tidied.append(len(rounds)))
    monkeypatch.setattr(worker, "PERIOD_SECONDS", 0.01)
    call_command("worker")
    assert tidied == [1, 2]
    assert all(now.tzinfo is not None for now in rounds)
    assert "the disk is away" in caplog.text
    assert not (folder / "worker.heartbeat").exists()


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
def test_the_worker_ends_with_its_parent(monkeypatch, settings, folder):
    settings.RUN_DIR = folder
    monkeypatch.setattr(Rota, "round", lambda _: pytest.fail("worked"))
    call_command("worker", parent=os.getpid())


def test_the_request_signals_of_django_are_dropped_and_only_those():
    calls = []

    def own(**_kwargs):
        calls.append(1)

    receivers = {each: list(each.receivers) for each in (signals.request_started, signals.request_finished)}
    signals.request_started.connect(own)
    try:
        warm.drop_request_signals()
        signals.request_started.send(sender=None)
        assert calls == [1]
        assert len(signals.request_started.receivers) == 1
        assert signals.request_finished.receivers == []
        assert not signals.request_finished.disconnect(close_old_connections)
    finally:
        for each, before in receivers.items():
            each.receivers = before
            each.sender_receivers_cache.clear()


LARGE = ("QuantLib", "pandas_market_calendars")
LOADING = """
import sys
from pathlib import Path
import django
django.setup()
from trades.storage.instruments import Instrument
from trades.stores import market_store
market_store().set_instrument(Instrument("AAPL", exchange="XNYS"))
market_store().set_instrument(Instrument("ELSEWHERE", exchange="XXXX"))
from marketdata_project.front.application import DjangoHandler
from marketdata_project.serve import warm
warm.load_everything(DjangoHandler())
print([name for name in {large} if name in sys.modules])
warm.load_libraries().join()
from stats.sessions import library
print([name for name in {large} if name in sys.modules], library.decade.cache_info().currsize > 0)
"""


def test_large_libraries_are_loaded_after_the_start_and_not_for_it(folder):
    done = subprocess.run(
        [sys.executable, "-c", LOADING.format(large=LARGE)],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test",
            "DATA_DIR": str(folder),
        },
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["[]", f"{list(LARGE)} True"]


def test_a_library_that_cannot_be_loaded_is_told_of_and_no_more(monkeypatch, caplog):
    def broken():
        raise ImportError("no such library")

    monkeypatch.setattr(warm, "quantlib", broken)
    monkeypatch.setattr(warm, "calendars_load", lambda **_: None)
    monkeypatch.setattr("gc.freeze", lambda: None)
    warm.load_libraries().join()
    assert "no such library" in caplog.text


def test_a_web_process_loads_large_libraries_once_and_not_at_once(monkeypatch):
    loaded = []

    def load():
        loaded.append(1)
        return threading.Thread()

    monkeypatch.setattr(web, "load_libraries", load)
    server = web.WebServer(uvicorn.Config("unused", log_config=None))
    server.parent = os.getppid()

    async def ticks(counts):
        for counter in counts:
            await server.on_tick(counter)

    asyncio.run(ticks(range(10)))
    assert loaded == []
    asyncio.run(ticks([10, 11, 10]))
    assert loaded == [1]


def test_a_lane_survives_what_fails_in_it(caplog):
    def tidy():
        raise ValueError("tidying")

    lane = Lane("test", threads=1, after=tidy)

    async def use():
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0)
        return await lane.run(int, "7")

    assert asyncio.run(use()) == 7
    assert "tidying" in caplog.text


def test_a_lane_has_no_more_threads_than_jobs_at_a_time():
    lane = Lane("counted", threads=4, after=lambda: None)

    async def use(together: int) -> int:
        gate = threading.Event()
        jobs = [lane.run(gate.wait, 10.0) for _ in range(together)]
        gate.set()
        assert await asyncio.gather(*jobs) == [True] * together
        return sum(thread.name.startswith("counted-") for thread in threading.enumerate())

    async def in_turn() -> list[int]:
        return [await use(together) for together in (1, 1, 3, 1, 9)]

    assert asyncio.run(in_turn()) == [1, 1, 3, 3, 4]


@pytest.mark.parametrize("refusal", [APPLICATION_FAILED, BODY_TOO_SLOW, HEADERS_TOO_LARGE, MALFORMED])
def test_refusals_have_the_form_of_all_problems(refusal):
    headers, body = refusal.render(correlation_id="an-id-of-ours")
    assert set(orjson.loads(body)) == set(Problem(500, "x", "y").body())
    assert orjson.loads(body)["type"] == TYPE_BASE + refusal.code
    assert orjson.loads(body)["title"] == TITLES[refusal.status]
    assert orjson.loads(body)["correlation_id"] == "an-id-of-ours"
    assert dict(headers)[b"x-correlation-id"] == b"an-id-of-ours"
    assert dict(headers)[b"content-length"] == str(len(body)).encode()
