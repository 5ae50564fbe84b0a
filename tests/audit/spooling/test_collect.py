"""Every record that was spooled is in the database exactly once, whatever happens to the collector."""

import fcntl
import json
import os
import threading
from typing import Any

import pytest
from django.db import OperationalError

from audit.chain.append import records_append
from audit.models import AuditRecord, SpoolFile
from audit.services import spool_collect
from audit.spooling import collector
from audit.spooling.collector import BATCH_RECORDS, READ_BYTES, exclusive
from audit.spooling.lines import counted_line
from audit.spooling.spool import Spool
from tests.audit.builders import AT, spooled

ONE, TWO = "1-1.jsonl", "2-1.jsonl"
COUNTED = counted_line("192.0.2.1", {401: 1}, AT)


@pytest.fixture
def folder(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.fixture
def spool(folder):
    opened = Spool(folder)
    yield opened
    opened.close()


def collected():
    return list(
        AuditRecord.objects.filter(event="").order_by("sequence").values_list("latency_us", flat=True)
    )


@pytest.mark.django_db
def test_nothing_spooled_is_nothing_moved(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path / "missing"
    assert spool_collect(now=AT) == 0


@pytest.mark.django_db
def test_record_arrives_with_every_field(spool):
    spool.append(spooled(7))
    assert spool_collect(now=AT) == 1
    record: dict[str, Any] = dict(AuditRecord.objects.values().get())
    assert record.pop("sequence") == 1
    assert len(record.pop("hash")) == 64
    assert record == {
        "at": AT,
        "caller": "key:12",
        "method": "GET",
        "path": "/api/v1/stats/ohlc",
        "query": "symbol=AAPL",
        "status": 200,
        "latency_us": 7,
        "address": "127.0.0.1",
        "correlation_id": "call-7",
        **dict.fromkeys(("audit_class", "event", "subject", "detail"), ""),
    }


@pytest.mark.django_db
def test_each_run_moves_only_what_is_new(folder, spool):
    moved = []
    for number in range(4):
        spool.append(spooled(number))
        moved.append(spool_collect(now=AT))
        moved.append(spool_collect(now=AT))
    assert moved == [1, 0] * 4
    assert collected() == [0, 1, 2, 3]
    (path,) = folder.iterdir()
    assert str(SpoolFile.objects.get()) == f"{path.name}@{path.stat().st_size}"


@pytest.mark.django_db
def test_file_in_use_stays_and_finished_file_goes_with_its_row(folder, spool):
    spool.append(spooled(1))
    spool_collect(now=AT)
    assert len(list(folder.iterdir())) == 1
    spool.close()
    assert spool_collect(now=AT) == 0
    assert list(folder.iterdir()) == []
    assert not SpoolFile.objects.exists()
    assert collected() == [1]


@pytest.mark.django_db
def test_more_than_a_batch_and_more_than_a_file(folder):
    spool = Spool(folder, rotate_bytes=200_000)
    count = 2 * BATCH_RECORDS + 500
    for number in range(count):
        spool.append(spooled(number))
    spool.close()
    assert len(list(folder.iterdir())) > 1
    assert spool_collect(now=AT) == count
    assert collected() == list(range(count))
    assert list(folder.iterdir()) == []


@pytest.mark.django_db
def test_limit_ends_a_run_early_and_the_next_goes_on(folder, spool):
    for number in range(BATCH_RECORDS + 1):
        spool.append(spooled(number))
    spool.close()
    spool.append(spooled(BATCH_RECORDS + 1))
    assert spool_collect(now=AT, limit=10) == BATCH_RECORDS
    assert len(list(folder.iterdir())) == 2
    assert spool_collect(now=AT, limit=10) == 2
    assert collected() == list(range(BATCH_RECORDS + 2))


@pytest.mark.parametrize(
    ("damage", "unreadable"),
    [
        pytest.param(b"not json\n", 1, id="not-json"),
        pytest.param(b"\n\n", 2, id="empty-lines"),
        pytest.param(b"\xff\xff\n", 1, id="not-utf-8"),
        pytest.param(spooled(9).replace(b"key:12", b"\\u0000"), 1, id="nul"),
        pytest.param(spooled(9).replace(b'"","","",""', b'"","key.revoked","","{}"'), 1, id="an-event"),
        pytest.param(spooled(9).replace(b'"","","",""', b'"","","","{}"'), 1, id="a-detail"),
        pytest.param(spooled(9).replace(b'"","","",""', b'"","","key:1",""'), 1, id="a-subject"),
        pytest.param(COUNTED.replace(b"counted", b"kept"), 1, id="another-event"),
        pytest.param(COUNTED.replace(b"1}", b"-1}"), 1, id="another-detail"),
        pytest.param(b"x" * (READ_BYTES + 1000) + b"\n", 2, id="longer-than-a-read"),
    ],
)
@pytest.mark.django_db
def test_unreadable_lines_are_counted_and_hold_nothing_up(folder, caplog, damage, unreadable):
    (folder / ONE).write_bytes(spooled(1) + damage + spooled(2))
    (folder / TWO).write_bytes(spooled(3))
    assert spool_collect(now=AT) == 3
    assert collected() == [1, 2, 3]
    events = AuditRecord.objects.exclude(event="")
    assert {record.event for record in events} == {"audit.lines_unreadable"}
    assert sum(json.loads(record.detail)["lines"] for record in events) == unreadable
    assert f"unreadable audit lines in {ONE}" in caplog.text
    assert list(folder.iterdir()) == []
    assert not SpoolFile.objects.exists()


@pytest.mark.django_db
def test_torn_last_line_waits_for_its_writer_and_is_counted_when_it_is_gone(folder, caplog):
    path, whole = folder / ONE, spooled(1) + spooled(2) + spooled(3)
    torn = len(spooled(1) + spooled(2)) - 10
    path.write_bytes(whole[:torn])
    with path.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert spool_collect(now=AT) == 1
        assert caplog.text == ""
        writer.write(whole[torn : torn + 15])
        writer.flush()
        assert spool_collect(now=AT) == 1
    assert spool_collect(now=AT) == 0
    assert collected() == [1, 2]
    assert json.loads(AuditRecord.objects.exclude(event="").get().detail)["lines"] == 1
    assert ONE in caplog.text
    assert not path.exists()


@pytest.mark.parametrize("made", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
@pytest.mark.django_db
def test_what_is_no_file_does_not_hold_up_the_others(folder, caplog, made):
    made(folder / ONE)
    (folder / TWO).write_bytes(spooled(1))
    assert spool_collect(now=AT) == 1
    assert f"{ONE} cannot be collected" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_crash_between_insert_and_commit_moves_nothing_twice(folder, monkeypatch):
    count = BATCH_RECORDS + 500
    (folder / ONE).write_bytes(b"".join(map(spooled, range(count))))
    save, calls = SpoolFile.save, []

    def save_or_crash(self, **options):
        # The first call makes the row, the next ones note the progress of a batch that is already inserted.
        calls.append(AuditRecord.objects.count())
        if len(calls) == 3:
            raise OperationalError("the disk is full")
        save(self, **options)

    monkeypatch.setattr(SpoolFile, "save", save_or_crash)
    with pytest.raises(OperationalError):
        spool_collect(now=AT)
    monkeypatch.undo()
    assert calls == [0, BATCH_RECORDS, count]
    assert len(collected()) == BATCH_RECORDS
    assert spool_collect(now=AT) == 500
    assert collected() == list(range(count))


@pytest.mark.django_db(transaction=True)
def test_crash_before_the_file_is_deleted_moves_nothing_twice(folder, monkeypatch):
    path = folder / ONE
    path.write_bytes(spooled(1))

    def crash(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr(type(path), "unlink", crash)
    with pytest.raises(RuntimeError):
        spool_collect(now=AT)
    monkeypatch.undo()
    assert path.exists()
    assert spool_collect(now=AT) == 0
    assert collected() == [1]
    assert not path.exists()


@pytest.mark.django_db
def test_second_collector_leaves_at_once(folder, tmp_path):
    (folder / ONE).write_bytes(spooled(1))
    with exclusive(tmp_path / "collector.lock") as alone:
        assert alone
        assert spool_collect(now=AT) == 0
    assert spool_collect(now=AT) == 1


@pytest.mark.django_db
def test_records_written_during_the_run_wait_for_the_next(folder, spool, monkeypatch):
    for number in range(3):
        spool.append(spooled(number))
    insert = records_append

    def insert_and_append(records):
        writer = threading.Thread(target=spool.append, args=(spooled(99),))
        writer.start()
        writer.join()
        return insert(records)

    monkeypatch.setattr(collector, "records_append", insert_and_append)
    assert spool_collect(now=AT) == 3
    monkeypatch.undo()
    assert spool_collect(now=AT) == 1
    assert collected() == [0, 1, 2, 99]
