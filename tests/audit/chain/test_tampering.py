"""Whatever is done to the records by whom the key is not known: it is found, and the first bad record is named."""

import os
import random
import shutil
from datetime import timedelta
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


@pytest.mark.parametrize("place", [0, 1, COUNT - 1])
def test_a_copy_that_is_continued_is_found_where_it_begins(chain, place, django_capture_on_commit_callbacks):
    sql("DELETE FROM audit_auditrecord WHERE sequence > %s", place)
    put_head(place)
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(number, path="/other") for number in range(2 * COUNT)], now=AT)
    found = first_found()
    assert (found.kind.value, found.sequence) == ("altered", place + 1)
    # From there on the chain is whole, and what is known outside is of the new one.
    assert not chain_verify(first=place + 2).findings


@pytest.mark.parametrize("more", [5, 2 * COUNT])
def test_a_copy_that_was_continued_elsewhere_is_found(
    chain, tmp_path: Path, more, django_capture_on_commit_callbacks
):
    here = chain.AUDIT_DIR
    chain.AUDIT_DIR = tmp_path / "elsewhere"
    sql("DELETE FROM audit_auditrecord WHERE sequence > 10")
    put_head(10)
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(number, path="/other") for number in range(more)], now=AT)
    shutil.copytree(here, tmp_path / "brought back")
    chain.AUDIT_DIR = tmp_path / "brought back"
    found = first_found()
    assert (found.kind.value, found.sequence) == (("missing", 16) if more == 5 else ("altered", COUNT))


def test_a_copy_that_was_continued_elsewhere_is_found_though_it_went_on_here(
    chain, tmp_path: Path, django_capture_on_commit_callbacks
):
    here = chain.AUDIT_DIR
    chain.AUDIT_DIR = tmp_path / "elsewhere"
    sql("DELETE FROM audit_auditrecord WHERE sequence > 10")
    put_head(10)
    records_append([columns(number, path="/other") for number in range(2 * COUNT)], now=AT)
    chain.AUDIT_DIR = here
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            records_append([columns(1)], now=AT)
    (found,) = chain_verify().findings
    assert (found.kind.value, found.sequence) == ("altered", COUNT)


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
    ("file", "content"),
    [("head", b"{}"), ("head", b'{"kind":'), ("anchors.jsonl", b"\xff\n"), ("head", None)],
    ids=["head", "torn-head", "anchors", "no-head"],
)
def test_what_is_kept_outside_and_damaged_is_told(chain, file, content):
    path = chain.AUDIT_DIR / file
    path.unlink()
    if content is None:
        (chain.AUDIT_DIR / "anchors.jsonl").unlink()
    else:
        path.write_bytes(content)
    assert {finding.kind.value for finding in chain_verify().findings} == {"unknown"}


@pytest.mark.parametrize("left", [None, b""], ids=["removed", "emptied"])
def test_anchors_that_are_gone_are_told_also_when_there_are_others(
    chain, left, django_capture_on_commit_callbacks
):
    path = chain.AUDIT_DIR / "anchors.jsonl"
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    (found,) = chain_verify().findings
    assert (found.kind.value, found.message) == (
        "unknown",
        "what follows record 7 cannot be verified: its anchor, the last, is missing from anchors.jsonl",
    )
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(1)], now=AT + timedelta(hours=2))
    (found,) = chain_verify().findings
    assert (found.kind.value, found.sequence) == ("unknown", COUNT + 1)
    assert "anchors were gone before" in found.message


def test_a_note_that_the_database_was_put_back_is_missed(chain, django_capture_on_commit_callbacks):
    sql("DELETE FROM audit_auditrecord WHERE sequence > 50")
    put_head(50)
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(1)], now=AT)
    path = chain.AUDIT_DIR / "anchors.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "is missing from anchors.jsonl" in first_found().message


def test_an_anchor_that_cannot_be_read_hides_no_other(chain):
    path = chain.AUDIT_DIR / "anchors.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    (chain.AUDIT_DIR / "head").unlink()
    sql("DELETE FROM audit_auditrecord WHERE sequence > 2")
    put_head(2)
    assert ("missing", 3) in {(found.kind.value, found.sequence) for found in chain_verify().findings}


@pytest.mark.parametrize("place", [0, 1, COUNT - 1, COUNT])
def test_a_head_outside_that_is_missing_is_told_though_the_end_was_cut_off_well(chain, place):
    cut_off_well(chain, place)
    found = chain_verify()
    assert found.findings
    assert "the head outside is missing although" in found.findings[-1].message


@pytest.mark.parametrize("place", [1, COUNT - 1])
def test_a_head_that_was_missing_is_told_when_there_is_another(
    chain, place, django_capture_on_commit_callbacks
):
    cut_off_well(chain, place)
    # As little was anchored as an attacker could wish.
    anchors = chain.AUDIT_DIR / "anchors.jsonl"
    anchors.write_bytes(b"")
    with django_capture_on_commit_callbacks(execute=True):
        records_append([columns(number) for number in range(2 * COUNT)], now=AT)
    (found,) = chain_verify().findings
    assert (found.kind.value, found.sequence) == ("unknown", place)
    assert "the head outside was gone before" in found.message


def test_everything_that_is_gone_is_told(chain):
    cut_off_well(chain, 0)
    sql("DELETE FROM audit_chainends")
    shutil.rmtree(chain.AUDIT_DIR)
    assert first_found().message == "there is no record and no head: nothing can be verified"


def cut_off_well(chain, place):
    """All that can be done without the key to hide that the end was cut off."""
    sql("DELETE FROM audit_auditrecord WHERE sequence > %s", place)
    put_head(place)
    (chain.AUDIT_DIR / "head").unlink()


def test_a_head_of_another_key_is_none(chain):
    path = chain.AUDIT_DIR / "head"
    path.write_bytes(path.read_bytes().replace(b'"sequence":60', b'"sequence":50'))
    assert "not written with this key" in first_found().message
