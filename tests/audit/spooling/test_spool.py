"""Records are on the file when `append` returns, whole, whoever dies."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from audit.spooling.spool import Spool
from tests.patience import PROGRAM_SECONDS

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def child(source, *arguments):
    """Run `source` in a process group of its own, of which nothing is left at the end."""
    command = [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def output_of(source, *arguments):
    with child(source, *arguments) as process:
        out, _ = process.communicate(timeout=PROGRAM_SECONDS)
        assert process.returncode == 0
    return out.decode().split()


def lines_in(folder):
    """The whole lines of all files; a kill may tear the last one."""
    return [
        line
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def is_locked(path):
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_nothing_is_made_before_the_first_record(tmp_path):
    Spool(tmp_path / "spool")
    assert list(tmp_path.iterdir()) == []


def test_file_is_private_named_by_start_and_process_and_locked(tmp_path):
    spool = Spool(tmp_path / "spool")
    assert spool.append(b"a}\n")
    (path,) = (tmp_path / "spool").iterdir()
    start, _, pid = path.name.removesuffix(".jsonl").partition("-")
    assert start.isdigit()
    assert pid == str(os.getpid())
    assert path.stat().st_mode & 0o777 == 0o600
    assert is_locked(path)
    spool.close()
    assert not is_locked(path)


def test_fifty_threads_leave_only_whole_lines(tmp_path):
    spool = Spool(tmp_path, rotate_bytes=20_000)
    expected = {
        b"%d-%d-%s}\n" % (thread, number, b"x" * thread) for thread in range(50) for number in range(40)
    }
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(spool.append, sorted(expected)))
    spool.close()
    assert all(results)
    written = lines_in(tmp_path)
    assert len(written) == len(expected)
    assert set(written) == expected


def test_full_file_is_finished_and_another_begun(tmp_path):
    spool = Spool(tmp_path, rotate_bytes=230)
    for _ in range(10):
        spool.append(b"x" * 71 + b"\n")
    files = sorted(tmp_path.glob("*.jsonl"))
    assert [path.stat().st_size for path in files] == [216, 216, 216, 72]
    assert [is_locked(path) for path in files] == [False, False, False, True]
    spool.close()


def test_killed_writer_loses_nothing_that_it_reported(tmp_path):
    script = """
        import itertools, os, sys
        from pathlib import Path
        from audit.spooling.spool import Spool
        spool = Spool(Path(sys.argv[1]), rotate_bytes=5000)
        for number in itertools.count():
            if spool.append(b"%d %s}\\n" % (number, b"x" * (number % 90))):
                os.write(1, b"%d\\n" % number)
        """
    with child(script, tmp_path) as process:
        reported = [process.stdout.readline() for _ in range(500)]
        process.kill()
        reported += process.stdout.readlines()
    assert len(reported) >= 500
    written = lines_in(tmp_path)
    numbers = [int(line.split(b" ")[0]) for line in written]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= len(reported)
    assert not any(is_locked(path) for path in tmp_path.iterdir())


def test_forked_child_writes_a_file_of_its_own_even_if_the_lock_was_held(tmp_path):
    lost = output_of(
        """
        import os, sys
        from pathlib import Path
        from audit.spooling.spool import Spool
        spool = Spool(Path(sys.argv[1]))
        spool.append(b"parent}\\n")
        spool._lock.acquire()
        if (pid := os.fork()) == 0:
            spool.append(b"child}\\n")
            os._exit(spool.lost)
        spool._lock.release()
        spool.append(b"parent}\\n")
        print(os.waitpid(pid, 0)[1], spool.lost)
        """,
        tmp_path,
    )
    assert lost == ["0", "0"]
    assert len(list(tmp_path.iterdir())) == 2
    assert sorted(lines_in(tmp_path)) == [b"child}\n", b"parent}\n", b"parent}\n"]


def test_full_disk_fails_no_call_and_leaves_whole_lines(tmp_path):
    results = output_of(
        """
        import logging, resource, sys
        from pathlib import Path
        from audit.spooling.spool import Spool
        logging.disable()
        spool = Spool(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_050, resource.RLIM_INFINITY))
        print(sum(spool.append(b"x" * 98 + b"}\\n") for _ in range(200)), spool.lost)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(spool.append(b"y" * 98 + b"}\\n"), spool.lost)
        """,
        tmp_path,
    )
    assert results == ["100", "100", "True", "100"]
    assert lines_in(tmp_path) == [b"x" * 98 + b"}\n"] * 100 + [b"y" * 98 + b"}\n"]


def test_failure_is_logged_once_until_it_ends(tmp_path, caplog):
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be")
    spool = Spool(folder)
    assert [spool.append(b"a}\n") for _ in range(3)] == [False] * 3
    assert spool.lost == 3
    folder.unlink()
    assert spool.append(b"b}\n")
    spool.close()
    shutil.rmtree(folder)
    folder.write_text("a file where the folder should be")
    assert [spool.append(b"a}\n") for _ in range(3)] == [False] * 3
    assert [entry.levelname for entry in caplog.records] == ["ERROR", "ERROR"]


def test_old_file_grows_on_when_no_new_one_can_be_made(tmp_path):
    folder = tmp_path / "spool"
    spool = Spool(folder, rotate_bytes=10)
    spool.append(b"12345678}\n")
    moved = tmp_path / "moved"
    folder.rename(moved)
    folder.write_text("a file where the folder should be")
    assert spool.append(b"abcdefgh}\n")
    spool.close()
    assert lines_in(moved) == [b"12345678}\n", b"abcdefgh}\n"]


def after_first_open(monkeypatch, action):
    """Let `action` see the first spool file when it exists and is not locked yet."""
    open_file, pending = os.open, [action]

    def open_then_act(path, *arguments, **options):
        fd = open_file(path, *arguments, **options)
        if pending:
            pending.pop()(path)
        return fd

    monkeypatch.setattr("audit.spooling.spool.os.open", open_then_act)


def test_file_that_a_collector_deletes_before_it_is_locked_takes_no_record_away(tmp_path, monkeypatch):
    after_first_open(monkeypatch, Path.unlink)
    spool = Spool(tmp_path)
    assert spool.append(b"a}\n")
    assert lines_in(tmp_path) == [b"a}\n"]
    spool.close()


def test_file_that_a_collector_holds_before_it_is_locked_is_left_to_it(tmp_path, monkeypatch):
    held = []

    def hold(path):
        file = path.open("rb")
        fcntl.flock(file, fcntl.LOCK_EX)
        held.append((path, file))

    after_first_open(monkeypatch, hold)
    spool = Spool(tmp_path)
    assert spool.append(b"a}\n")
    ((path, file),) = held
    assert path.read_bytes() == b""
    file.close()
    assert lines_in(tmp_path) == [b"a}\n"]
    spool.close()


def test_clock_that_stands_still_overwrites_no_file(tmp_path, monkeypatch):
    times = iter([7, 7, 7, 8])
    monkeypatch.setattr("audit.spooling.spool.time", SimpleNamespace(time_ns=lambda: next(times)))
    spool = Spool(tmp_path, rotate_bytes=1)
    assert spool.append(b"a}\n")
    assert spool.append(b"b}\n")
    spool.close()
    assert lines_in(tmp_path) == [b"a}\n", b"b}\n"]
