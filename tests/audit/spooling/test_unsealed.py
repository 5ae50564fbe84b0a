"""Lines without a valid seal are kept, counted, and read by a command alone, which says of each that it is unsealed."""

import fcntl
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from audit.models import AuditRecord, SpoolFile
from audit.services import files_unsealed, spool_collect, unsealed_record
from audit.spooling import unsealed
from tests.audit.builders import AT, sealed, spooled

NAME, OLD = "1-1.sealed.jsonl", "1-1.jsonl"
FORGED = spooled(9).replace(b"key:12", b"key:13")

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.AUDIT_DIR = tmp_path
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.fixture
def content(folder: Path) -> bytes:
    """A finished file with two sealed lines, two lines of a stranger, and one that was cut short."""
    first = sealed(NAME, spooled(1), b"no record\n")
    written = sealed(NAME, spooled(1), b"no record\n", b"x" * (len(FORGED) - 1) + b"\n", spooled(2))
    content = first + FORGED + written[len(first + FORGED) :] + spooled(3)[:40]
    (folder / NAME).write_bytes(content)
    spool_collect(now=AT)
    return content


def command(*arguments: str) -> str:
    call_command("audit", "unsealed", *arguments, stdout=(out := StringIO()))
    return out.getvalue()


def told() -> list[tuple[str, str]]:
    records = AuditRecord.objects.filter(event="audit.line_unsealed").order_by("pk")
    return [(record.subject, json.loads(record.detail)["line"]["correlation_id"]) for record in records]


def test_a_file_with_lines_left_out_is_kept_as_it_is(folder, content, caplog):
    calls = AuditRecord.objects.filter(event="").order_by("pk")
    assert list(calls.values_list("latency_us", flat=True)) == [1, 2]
    assert list(folder.iterdir()) == []
    (kept,) = files_unsealed()
    assert kept == folder.parent / "unsealed" / NAME
    assert kept.read_bytes() == content
    messages = [record.getMessage() for record in caplog.get_records("setup")]
    assert "`manage.py audit unsealed` lists it" in messages[-1]
    spool_collect(now=AT)
    assert told() == []


def test_the_command_lists_them_and_records_nothing(content):
    assert command() == f"{NAME}: lines without a valid seal: 1; no records: 2\n"
    assert told() == []
    assert len(files_unsealed()) == 1


def test_the_command_records_each_line_as_an_event_that_contains_it(folder, content):
    assert command("--record") == f"{NAME}: lines recorded: 1; no records: 2\n"
    event = AuditRecord.objects.get(event="audit.line_unsealed")
    assert event.caller.startswith("command:")
    assert (event.subject, event.method, event.path, event.status) == (NAME, "", "", 0)
    assert json.loads(event.detail) == {
        "line": {
            "at": "2025-01-02T03:00:00Z",
            "caller": "key:13",
            "method": "GET",
            "path": "/api/v1/stats/ohlc",
            "query": "symbol=AAPL",
            "status": 200,
            "latency_us": 9,
            "address": "127.0.0.1",
            "correlation_id": "call-9",
        }
    }
    assert not AuditRecord.objects.filter(caller="key:13").exists()
    assert (folder.parent / "unsealed" / "recorded" / NAME).read_bytes() == content
    assert command("--record") == command() == ""
    assert told() == [(NAME, "call-9")]


def test_a_line_is_masked_as_if_it_were_recorded_now(folder):
    line = (
        spooled(9)
        .replace(b"symbol=AAPL", b"symbol=AAPL&pin=1234")
        .replace(b"ohlc", b"md_0123abcd_" + b"A" * 43)
    )
    (folder / OLD).write_bytes(line)
    command("--record")
    recorded = AuditRecord.objects.get().detail
    assert "pin=***" in recorded
    assert "A" * 43 not in recorded


def test_files_of_other_names_in_the_spool_are_left_for_the_command(folder):
    (folder / OLD).write_bytes(spooled(1) + spooled(2))
    (folder / "notes.txt").write_bytes(b"a note")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(folder / OLD)
    assert spool_collect(now=AT) == 0
    assert [path.name for path in files_unsealed()] == [OLD, "notes.txt"]
    said = command("--record")
    assert said == f"{OLD}: lines recorded: 2; no records: 0\nnotes.txt: lines recorded: 0; no records: 1\n"
    assert told() == [(OLD, "call-1"), (OLD, "call-2")]
    assert files_unsealed() == []


def test_a_file_that_is_still_written_waits(folder):
    (folder / OLD).write_bytes(spooled(1))
    with (folder / OLD).open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="still written"):
            command("--record")
    assert told() == []


@pytest.mark.django_db(transaction=True)
def test_a_command_that_is_killed_records_no_line_twice(folder, monkeypatch):
    (folder / OLD).write_bytes(b"".join(map(spooled, range(5))))
    monkeypatch.setattr("audit.spooling.collector.BATCH_RECORDS", 2)
    save, calls = SpoolFile.save, []

    def save_or_crash(self: SpoolFile, **options: Any) -> None:
        # The first call makes the row, the others note the progress of a batch.
        calls.append(self.name)
        if len(calls) == 3:
            raise OperationalError("the disk is full")
        save(self, **options)

    (path,) = files_unsealed()
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "save", save_or_crash)
        with pytest.raises(OperationalError):
            unsealed_record(path, actor="command:me", now=AT)
    assert len(told()) == 2
    with monkeypatch.context() as patch:
        patch.setattr(unsealed, "progress_forget", lambda name: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            unsealed_record(path, actor="command:me", now=AT)
    assert told() == [(OLD, f"call-{number}") for number in range(5)]
    assert files_unsealed() == []


def test_nothing_is_left_aside_where_there_is_no_spool(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path / "missing"
    assert files_unsealed() == []
