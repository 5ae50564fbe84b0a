"""Refusals of callers without an identity: one whole record and one count for each address and minute."""

import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from audit.chain.verify import chain_verify
from audit.models import AuditRecord
from audit.services import spool_collect
from audit.spooling import anonymous_refusals
from audit.spooling.anonymous_refusals import OTHER_ADDRESSES, AnonymousRefusals
from audit.spooling.lines import counted_line, decode_line
from audit.spooling.spool import Spool
from tests.audit.builders import AT

NOON = 1_735_819_200.0
ADDRESS = "192.0.2.1"


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(tmp_path: Path, clock: Clock) -> AnonymousRefusals:
    return AnonymousRefusals(Spool(tmp_path), clock=clock)


def told(folder: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Minute, address and detail of each count in the spool."""
    lines = [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines()]
    records = [decode_line(line) for line in lines]
    assert {record.event for record in records} <= {"audit.refusals_counted"}
    return [(f"{record.at:%H:%M:%S}", record.address, json.loads(record.detail)) for record in records]


def test_the_first_of_a_minute_is_recorded_whole_and_the_rest_are_counted(refusals, clock, tmp_path):
    counted = []
    for status in (401, 401, 404, 429, 401):
        counted.append(refusals.count(ADDRESS, status))
        clock.now += 10
    assert counted == [False, True, True, True, True]
    assert told(tmp_path) == []
    clock.now = NOON + 60
    assert not refusals.count(ADDRESS, 401)
    assert told(tmp_path) == [
        ("12:00:00", ADDRESS, {"refusals": 4, "statuses": {"401": 2, "404": 1, "429": 1}})
    ]


def test_what_is_refused_once_is_not_counted_too(refusals, clock, tmp_path):
    assert not refusals.count(ADDRESS, 401)
    clock.now += 60
    refusals.settle()
    refusals.close()
    assert told(tmp_path) == []


def test_a_minute_that_has_ended_is_settled_though_nobody_comes_again(refusals, clock, tmp_path):
    for _ in range(3):
        refusals.count(ADDRESS, 401)
    clock.now = NOON + 59.9
    refusals.settle()
    assert told(tmp_path) == []
    clock.now = NOON + 60
    refusals.settle()
    refusals.settle()
    assert told(tmp_path) == [("12:00:00", ADDRESS, {"refusals": 2, "statuses": {"401": 2}})]


def test_the_end_of_the_process_loses_no_count(refusals, tmp_path):
    for _ in range(3):
        refusals.count(ADDRESS, 401)
    refusals.close()
    refusals.close()
    assert told(tmp_path) == [("12:00:00", ADDRESS, {"refusals": 2, "statuses": {"401": 2}})]


def test_a_clock_that_was_set_back_begins_another_minute(refusals, clock, tmp_path):
    assert [refusals.count(ADDRESS, 401) for _ in range(2)] == [False, True]
    clock.now -= 3600
    assert [refusals.count(ADDRESS, 401) for _ in range(2)] == [False, True]
    refusals.close()
    assert [minute for minute, _, _ in told(tmp_path)] == ["12:00:00", "11:00:00"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:0:0:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_whose_refusals_are_counted_together(refusals, one, other, same):
    assert not refusals.count(one, 401)
    assert refusals.count(other, 401) is same


def test_an_address_of_ipv6_is_told_as_its_network(refusals, tmp_path):
    for host in range(3):
        refusals.count(f"2001:db8::{host}", 401)
    refusals.close()
    assert [address for _, address, _ in told(tmp_path)] == ["2001:db8::/64"]


def test_beyond_so_many_addresses_the_others_share_one_count(refusals, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(anonymous_refusals, "MOST_ADDRESSES", 3)
    whole = [not refusals.count(f"192.0.2.{n}", 401) for n in range(10)]
    assert whole == [True] * 3 + [False] * 7
    assert not refusals.take_first("192.0.2.99")
    assert refusals.count("192.0.2.0", 404)
    assert len(refusals._counted) == 4
    clock.now += 60
    assert not refusals.count("192.0.2.9", 401)
    assert told(tmp_path) == [
        ("12:00:00", "192.0.2.0", {"refusals": 1, "statuses": {"404": 1}}),
        ("12:00:00", OTHER_ADDRESSES, {"refusals": 7, "statuses": {"401": 7}}),
    ]


def test_no_refusal_is_lost_or_doubled_by_threads(refusals, clock, tmp_path):
    ticks = count(1)

    def refuse(seed: int) -> int:
        choice, whole = random.Random(seed), 0
        for _ in range(500):
            clock.now = NOON + next(ticks) // 300 * 60
            whole += not refusals.count(f"192.0.2.{choice.randrange(4)}", choice.choice([401, 404]))
        return whole

    with ThreadPoolExecutor(4) as pool:
        whole = sum(pool.map(refuse, range(4)))
    refusals.close()
    counted: Counter[str] = Counter()
    for _, _, detail in told(tmp_path):
        assert sum(detail["statuses"].values()) == detail["refusals"]
        counted.update(detail["statuses"])
    assert whole + counted.total() == 2000


@pytest.mark.django_db
def test_a_count_is_a_record_of_the_chain(settings, tmp_path):
    settings.AUDIT_DIR = tmp_path
    (tmp_path / "spool").mkdir()
    name = "1-1.jsonl"
    line = counted_line("2001:db8::/64", {429: 2, 401: 1000}, AT)
    forged = [
        line.replace(b'"401', b'"4x1'),
        line.replace(b"1002", b"-102"),
        line.replace(b"_counted", b"_kept"),
    ]
    (tmp_path / "spool" / name).write_bytes(b"".join([line, *forged]))
    spool_collect(now=AT)
    (record,) = AuditRecord.objects.filter(event="audit.refusals_counted")
    assert (record.at, record.address, record.status, record.caller) == (AT, "2001:db8::/64", 0, "")
    assert json.loads(record.detail) == {"refusals": 1002, "statuses": {"401": 1000, "429": 2}}
    assert json.loads(AuditRecord.objects.get(event="audit.lines_unreadable").detail)["lines"] == 3
    assert chain_verify(first=1).last.sequence == 2
