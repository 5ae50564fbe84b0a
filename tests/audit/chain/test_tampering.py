"""Whatever is done to the records by whom the key is not known: it is found, and the first bad record is named."""

import os
import random
import shutil
from pathlib import Path

import pytest
from django.db import connection, transaction

from audit.chain.append import records_append
from audit.chain.verify import chain_verify
from audit.models import AuditRecord, ChainEnds
from tests.audit.builders import AT, chain_of, columns
from tests.chance import SOAK

pytestmark = pytest.mark.django_db
COUNT = 60
TRIALS = 200
SEED = int(os.environ.get("SEED") or random.randrange(2**32))
EDITS = {
    "at": "'2024-05-06 07:08:09'",
    "caller": "'key:2'",
    "method": "'PUT'",
    "path": "path || '/'",
    "query": "'a=b'",
    "status": "status + 1",
    "latency_us": "latency_us + 1",
    "address": "'192.0.2.1'",
    "correlation_id": "'x' || correlation_id",
    "audit_class": "'keys'",
    "event": "'e'",
    "subject": "'s'",
    "detail": "'{}'",
    "hash": "substr(hash, 2) || '0'",
}
ALL = ", ".join(["at", *columns()._fields[1:], "hash"])


@pytest.fixture
def chain(tmp_path, settings, django_capture_on_commit_callbacks):
    """A chain of COUNT records, whose head is kept outside."""
    settings.AUDIT_DIR = tmp_path / "audit"
    with django_capture_on_commit_callbacks(execute=True):
        chain_of(COUNT)
    assert not chain_verify().findings
    return settings


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def first_found():
    return chain_verify().findings[0]


def shifted(first, by):
    """Number the records from `first` on anew, by way of numbers that nobody has."""
    sql("UPDATE audit_auditrecord SET sequence = -sequence - %s WHERE sequence >= %s", by, first)
    sql("UPDATE audit_auditrecord SET sequence = -sequence WHERE sequence < 0")


def edited(draw):
    place, column = draw.randint(1, COUNT), draw.choice(sorted(EDITS))
    sql(f"UPDATE audit_auditrecord SET {column} = {EDITS[column]} WHERE sequence = %s", place)
    return place, "altered"


def deleted(draw):
    place = draw.randint(1, COUNT)
    sql("DELETE FROM audit_auditrecord WHERE sequence = %s", place)
    return place, "missing"


def deleted_and_numbered_anew(draw):
    place, length = draw.randint(1, COUNT - 5), draw.randint(1, 3)
    sql("DELETE FROM audit_auditrecord WHERE sequence BETWEEN %s AND %s", place, place + length - 1)
    shifted(place, -length)
    ChainEnds.objects.update(head_sequence=COUNT - length)
    return place, "altered"


def forged(place):
    source = 1 if place > 1 else 2
    sql(
        f"INSERT INTO audit_auditrecord (sequence, {ALL}) SELECT %s, {ALL} FROM audit_auditrecord WHERE sequence = %s",
        place,
        source,
    )
    sql("UPDATE audit_auditrecord SET path = '/forged' WHERE sequence = %s", place)


def inserted(draw):
    place = draw.randint(1, COUNT)
    shifted(place, 1)
    source = COUNT + 1 if place == 1 else 1
    sql(
        f"INSERT INTO audit_auditrecord (sequence, {ALL}) SELECT %s, {ALL} FROM audit_auditrecord WHERE sequence = %s",
        place,
        source,
    )
    return place, "altered"


def appended(_draw):
    forged(COUNT + 1)
    return COUNT + 1, "altered"


def put_before(draw):
    place = -draw.randint(0, 5)
    forged(place)
    return place, "altered"


def reordered(draw):
    one, other = sorted(draw.sample(range(1, COUNT + 1), 2))
    sql("UPDATE audit_auditrecord SET sequence = -1 WHERE sequence = %s", one)
    sql("UPDATE audit_auditrecord SET sequence = %s WHERE sequence = %s", one, other)
    sql("UPDATE audit_auditrecord SET sequence = %s WHERE sequence = -1", other)
    return one, "altered"


def cut_off(draw):
    place = draw.randint(0, COUNT - 1)
    sql("DELETE FROM audit_auditrecord WHERE sequence > %s", place)
    if draw.random() < 0.5:
        put_head(place)
    return place + 1, "missing"


def put_head(place):
    """Make the row of the chain's ends as it was at a record."""
    last = AuditRecord.objects.filter(sequence=place).values_list("hash", flat=True).first() or "0" * 64
    ChainEnds.objects.update(head_sequence=place, head_hash=last)


TAMPERINGS = (
    edited,
    deleted,
    deleted_and_numbered_anew,
    inserted,
    appended,
    put_before,
    reordered,
    cut_off,
)


def test_each_tampering_is_found_and_the_first_bad_record_named(chain):
    draw = random.Random(SEED)
    for trial in range(TRIALS if SOAK else TRIALS // 4):
        tampering = TAMPERINGS[trial % len(TAMPERINGS)]
        with transaction.atomic():
            place, kind = tampering(draw)
            found = first_found()
            transaction.set_rollback(True)
        assert (found.sequence, found.kind.value) == (place, kind), (
            f"{tampering.__name__}, {found}, SEED={SEED}"
        )
    assert not chain_verify().findings


def appended_after_cutting(chain, place, count, django_capture_on_commit_callbacks):
    """What the service does after somebody without the key cut the end off as well as can be: it goes on."""
    sql("DELETE FROM audit_auditrecord WHERE sequence > %s", place)
    put_head(place)
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(number, path="/other") for number in range(count)], now=AT)


@pytest.mark.parametrize("count", [1, 2 * COUNT])
@pytest.mark.parametrize("place", [0, 1, COUNT - 1])
def test_an_end_that_was_cut_off_is_found_though_the_chain_went_on(
    chain, caplog, place, count, django_capture_on_commit_callbacks
):
    appended_after_cutting(chain, place, count, django_capture_on_commit_callbacks)
    remark = f"by the head file the records up to {COUNT} had been written (noted in record {place + 1})"
    (found,) = chain_verify().findings
    assert (found.kind.value, found.message) == ("missing", f"record {place + 1} is missing: {remark}")
    assert "the audit log's end is not the one in" in caplog.text
    # It is noted once, and from there on the chain is whole.
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(1)], now=AT)
    assert chain_verify().findings == [found]
    assert not chain_verify(first=place + 2).findings


@pytest.mark.parametrize("more", [5, 2 * COUNT])
def test_a_copy_that_was_continued_elsewhere_is_found(
    chain, tmp_path: Path, more, django_capture_on_commit_callbacks
):
    here, chain.AUDIT_DIR = chain.AUDIT_DIR, tmp_path / "elsewhere"
    appended_after_cutting(chain, 10, more, django_capture_on_commit_callbacks)
    chain.AUDIT_DIR = here
    expected = ("missing", 17) if more == 5 else ("altered", COUNT)
    assert expected in {(found.kind.value, found.sequence) for found in chain_verify().findings}
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(1)], now=AT)
    assert expected in {(found.kind.value, found.sequence) for found in chain_verify().findings}


def test_a_row_of_ends_that_was_altered_is_found(chain):
    ChainEnds.objects.update(base_sequence=5, base_hash=AuditRecord.objects.get(pk=5).hash)
    assert (first_found().kind.value, first_found().sequence) == ("altered", 1)
    sql("DELETE FROM audit_auditrecord WHERE sequence <= 5")
    assert (first_found().kind.value, first_found().message) == (
        "altered",
        "record 5 was altered or replaced: the chain's beginning was not set here",
    )


def test_a_head_with_another_hash_is_found(chain):
    ChainEnds.objects.update(head_hash="0" * 64)
    assert (first_found().kind.value, first_found().sequence) == ("altered", COUNT)


def test_ends_that_are_gone_are_found_and_the_next_record_goes_on(chain):
    sql("DELETE FROM audit_chainends")
    assert first_found().message == "record 0 was altered or replaced: the row of the chain's ends is gone"
    records_append([columns(1)], now=AT)
    assert not chain_verify().findings


@pytest.mark.parametrize(
    "content", [None, b"{}", b'{"sequence":', b"\xff\n"], ids=["none", "empty", "torn", "no-text"]
)
@pytest.mark.parametrize("place", [1, COUNT])
def test_a_head_file_that_is_missing_or_damaged_is_found_and_made_anew(
    chain, content, place, django_capture_on_commit_callbacks
):
    path = chain.AUDIT_DIR / "head"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    message = f"what follows record {place} cannot be verified: the head file is missing or damaged"
    sql("DELETE FROM audit_auditrecord WHERE sequence > %s", place)
    put_head(place)
    assert [each.message for each in chain_verify().findings] == [message]
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(1)], now=AT)
    assert [each.message for each in chain_verify().findings] == [f"{message} (noted in record {place + 1})"]
    assert not chain_verify(first=place + 2).findings


def test_everything_that_is_gone_is_found(chain):
    sql("DELETE FROM audit_auditrecord")
    sql("DELETE FROM audit_chainends")
    shutil.rmtree(chain.AUDIT_DIR)
    assert first_found().message == "there is no record and no head: nothing can be verified"


def test_a_head_file_that_was_altered_is_found(chain):
    path = chain.AUDIT_DIR / "head"
    path.write_bytes(path.read_bytes().replace(b'"sequence":60', b'"sequence":50'))
    assert first_found().message == "record 50 was altered or replaced: the head file has another hash"
