"""The chain's hashes: keyed, over everything, and the same wherever they are made."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from audit.chain.links import BEGINNING, GENESIS, ChainKey, Head, in_utc
from audit.models import AuditRecord
from audit.records.columns import AuditColumns
from tests.audit.builders import AT, columns, record

KEY = ChainKey("a secret")


def test_a_hash_is_what_the_page_says():
    row = columns(7, detail='{"a":1}', at=datetime(2025, 1, 2, 3, 4, 5, 678, UTC))
    key = hmac.digest(hashlib.sha256(b"a secret").digest(), b"marketdata audit records", "sha256")
    told = json.dumps([7, "2025-01-02T03:04:05.000678Z", *row[1:]], separators=(",", ":"), ensure_ascii=False)
    expected = hmac.new(key, GENESIS.encode() + told.encode(), "sha256").hexdigest()
    assert KEY.hash(GENESIS, 7, row) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    "at", [AT, AT + timedelta(microseconds=5), AT.astimezone(timezone(timedelta(hours=9)))]
)
def test_a_record_is_found_by_the_instant_that_was_recorded(at):
    assert record(at=at) == AuditRecord.objects.get(at=at)


@pytest.mark.parametrize("name", AuditColumns._fields)
def test_every_column_counts(name):
    row = columns(1)
    value: Any = getattr(row, name)
    different: dict[type, Any] = {datetime: timedelta(microseconds=1), int: 1, str: " "}
    other: dict[str, Any] = {name: value + different[type(value)]}
    assert KEY.hash(GENESIS, 1, row) != KEY.hash(GENESIS, 1, row._replace(**other))


def test_place_predecessor_and_key_count():
    row = columns(1)
    hashes = {
        KEY.hash(GENESIS, 1, row),
        KEY.hash(GENESIS, 2, row),
        KEY.hash("1" * 64, 1, row),
        ChainKey("another").hash(GENESIS, 1, row),
        KEY.seal("records", "x"),
    }
    assert len(hashes) == 5


def test_text_that_moves_from_one_column_to_the_next_is_another_record():
    assert KEY.hash(GENESIS, 1, columns(0, path="/a", query="b")) != KEY.hash(
        GENESIS, 1, columns(0, path="/ab", query="")
    )


def test_links_follow_each_other_from_the_head_on():
    first, second = KEY.chained(BEGINNING, [columns(1), columns(2)])
    assert (first.sequence, second.sequence) == (1, 2)
    assert second.hash == KEY.hash(first.hash, 2, columns(2))
    assert [*KEY.chained(Head(1, first.hash), [columns(2)])] == [second]


def test_the_key_shows_nowhere():
    assert "a secret" not in repr(KEY) + str(vars(KEY))


def test_an_instant_has_one_spelling():
    assert in_utc(AT) is AT
    assert in_utc(AT.astimezone(timezone(timedelta(hours=5)))) == AT
    assert in_utc(AT.astimezone(timezone(timedelta(hours=5)))).tzinfo is UTC
    with pytest.raises(ValueError, match="no instant"):
        in_utc(datetime(2025, 1, 2))
