"""Whatever is done to the records by whom the key is not known: it is found, and the first bad record is named."""

import os
import random

import pytest
from django.db import connection, transaction

from audit.chain.append import head_of_chain, records_append
from audit.chain.links import Head
from audit.chain.verify import chain_verify
from audit.models import AuditRecord, ChainEnds
from tests.audit.builders import chain_of, columns
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
def noted() -> Head:
    """The head of a chain of COUNT records, as the log has it."""
    chain_of(COUNT)
    head = head_of_chain()
    assert not chain_verify(noted=head).findings
    return head


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def first_found(noted=None):
    return chain_verify(noted=noted).findings[0]


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


def test_each_tampering_is_found_and_the_first_bad_record_named(noted):
    draw = random.Random(SEED)
    for trial in range(TRIALS if SOAK else TRIALS // 4):
        tampering = TAMPERINGS[trial % len(TAMPERINGS)]
        with transaction.atomic():
            place, kind = tampering(draw)
            found = first_found(noted)
            transaction.set_rollback(True)
        assert (found.sequence, found.kind.value) == (place, kind), (
            f"{tampering.__name__}, {found}, SEED={SEED}"
        )
    assert not chain_verify().findings


@pytest.mark.parametrize("count", [1, COUNT - 1, 2 * COUNT])
@pytest.mark.parametrize("place", [0, 1, COUNT - 1])
def test_a_chain_that_goes_on_from_before_its_noted_head_is_found(noted, place, count):
    """Somebody without the key cut the end off as well as can be, or restored a copy; then the service went on."""
    sql("DELETE FROM audit_auditrecord WHERE sequence > %s", place)
    put_head(place)
    records_append([columns(number, path="/other") for number in range(count)])
    assert not chain_verify().findings
    last = place + count
    remark = "record {} is missing: by the noted head the records up to 60 had been written"
    expected = (
        "record 60 was altered or replaced: the noted head has another hash"
        if last >= COUNT
        else remark.format(last + 1)
    )
    assert [found.message for found in chain_verify(noted=noted).findings] == [expected]


def test_a_row_of_ends_that_was_altered_is_found(noted):
    ChainEnds.objects.update(base_sequence=5, base_hash=AuditRecord.objects.get(pk=5).hash)
    assert (first_found().kind.value, first_found().sequence) == ("altered", 1)
    sql("DELETE FROM audit_auditrecord WHERE sequence <= 5")
    assert (first_found().kind.value, first_found().message) == (
        "altered",
        "record 5 was altered or replaced: the chain's beginning was not set here",
    )


def test_a_head_with_another_hash_is_found(noted):
    ChainEnds.objects.update(head_hash="0" * 64)
    assert (first_found().kind.value, first_found().sequence) == ("altered", COUNT)


def test_ends_that_are_gone_are_found_and_the_next_record_goes_on(noted):
    sql("DELETE FROM audit_chainends")
    assert first_found().message == "record 0 was altered or replaced: the row of the chain's ends is gone"
    records_append([columns(1)])
    assert not chain_verify().findings


def test_everything_that_is_gone_is_found(noted):
    sql("DELETE FROM audit_auditrecord")
    sql("DELETE FROM audit_chainends")
    assert not chain_verify().findings
    assert (
        first_found(noted).message
        == "record 1 is missing: by the noted head the records up to 60 had been written"
    )
