"""`manage.py audit`: verify, prune."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit.chain import prune
from audit.chain.prune import records_delete_old
from audit.chain.tables import triggers_drop, triggers_make
from audit.chain.verify import chain_verify
from audit.exceptions import AppendOnly
from audit.models import AuditRecord
from audit.services import event_record, head_log
from tests.audit.builders import AT, chain_of, record

pytestmark = pytest.mark.django_db
COUNT = 20
# What of a migration's editor is asked for.
EDITOR: Any = SimpleNamespace(connection=connection)


@pytest.fixture
def chain() -> None:
    chain_of(COUNT)


def run(*arguments):
    """What the command says, and its exit code."""
    code: Any = 0
    try:
        call_command("audit", *map(str, arguments), stdout=(out := StringIO()))
    except SystemExit as error:
        code = error.code
    return out.getvalue(), code


def tamper(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_whole_chain_is_said_to_be_whole(chain):
    said, code = run("verify")
    assert (code, said.startswith("20 records are as they were written, up to record 20, ")) == (0, True)


def test_the_first_bad_record_is_named(chain):
    tamper("UPDATE audit_auditrecord SET path = '/x' WHERE sequence = 7")
    said, code = run("verify", "--json")
    assert code == 1
    assert json.loads(said) == {
        "ok": False,
        "records": 6,
        "last": {"sequence": 6, "hash": AuditRecord.objects.get(pk=6).hash},
        "findings": [{"kind": "altered", "sequence": 7, "message": "record 7 was altered or replaced"}],
    }


def test_verification_may_begin_later(chain):
    tamper("UPDATE audit_auditrecord SET path = '/x' WHERE sequence = 7")
    assert run("verify", "--from", 9)[1] == 0
    assert run("verify", "--from", 8)[1] == 0
    assert run("verify", "--from", 7)[1] == 1
    assert run("verify", "--from", 1)[1] == 1
    with pytest.raises(CommandError, match="there is no record 98"):
        run("verify", "--from", 99)


def test_a_noted_head_is_compared(chain):
    head = AuditRecord.objects.get(pk=COUNT).hash
    record(COUNT)
    assert run("verify", "--head", f"{COUNT}:{head}")[1] == 0
    said, code = run("verify", "--head", f"{COUNT}:{'0' * 64}")
    altered = "record 20 was altered or replaced: the noted head has another hash"
    assert (code, said.splitlines()[0]) == (1, altered)
    # Also if the records before a later one are trusted.
    said, code = run("verify", "--from", COUNT + 1, "--head", f"{COUNT}:{'0' * 64}")
    assert (code, said.splitlines()[0]) == (1, altered)
    run("prune", "--before", "2026-01-01")
    assert run("verify", "--head", f"{COUNT}:{head}")[1] == 0


def test_the_head_that_the_log_has_is_taken(chain, caplog):
    caplog.set_level("INFO", "audit.services")
    head_log(now=AT)
    (message,) = caplog.messages
    assert run("verify", "--head", message.removeprefix("audit head "))[1] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "--head", "20"), "20 is no NUMBER:HASH"),
        (("verify", "--head", "20:1b0e"), "20:1b0e is no NUMBER:HASH"),
        (("verify", "--head", f"last:{'0' * 64}"), "is no NUMBER:HASH"),
        (("verify", "--head", f"0:{'0' * 64}"), "is no NUMBER:HASH such as .*, with a number from 1 on"),
        (("prune", "--before", "soon"), "'soon' is not an ISO 8601 time"),
    ],
)
def test_what_cannot_be_done_is_said(chain, arguments, message):
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_old_records_go_from_the_beginning_and_the_rest_is_verified(chain, monkeypatch):
    monkeypatch.setattr(prune, "BATCH_SIZE", 3)
    said, _ = run("prune", "--before", "2025-01-02T03:08:00Z")
    assert said == "8 records removed\n"
    assert AuditRecord.objects.earliest("sequence").sequence == 9
    event = AuditRecord.objects.latest("sequence")
    assert (event.event, event.audit_class) == ("audit.pruned", "config")
    assert json.loads(event.detail)["last"] == 8
    assert chain_verify().records == COUNT + 1 - 8
    assert not chain_verify().findings
    assert run("prune", "--before", "2025-01-02T03:08:00Z")[0] == "0 records removed\n"


@pytest.mark.parametrize(
    ("tampering", "message"),
    [
        ("UPDATE audit_auditrecord SET at = '2000-01-01' WHERE sequence > 8", "record 9 was altered"),
        ("UPDATE audit_auditrecord SET path = '/x' WHERE sequence = 3", "record 3 was altered"),
        ("DELETE FROM audit_auditrecord WHERE sequence = 8", "record 8 is missing"),
        ("DELETE FROM audit_auditrecord WHERE sequence = 1", "record 1 is missing"),
        (
            "UPDATE audit_chainends SET base_sequence = 1",
            "record 1 was altered or replaced: the chain's beginning",
        ),
    ],
)
def test_what_is_not_as_it_was_written_is_not_pruned_away(chain, tampering, message):
    tamper(tampering)
    count = AuditRecord.objects.count()
    with pytest.raises(CommandError, match=f"nothing was removed: {message}"):
        run("prune", "--before", "2025-01-02T03:09:00Z")
    assert AuditRecord.objects.count() == count


def test_what_is_not_as_it_was_written_goes_where_that_is_asked_for_and_is_on_record(chain):
    tamper("UPDATE audit_auditrecord SET path = '/x' WHERE sequence = 3")
    said, _ = run("prune", "--before", "2025-01-02T03:08:00Z", "--unverified")
    assert said == "8 records removed\n"
    assert (
        json.loads(AuditRecord.objects.latest("sequence").detail)["wrong"]
        == "record 3 was altered or replaced"
    )
    assert not chain_verify().findings


def test_a_record_that_is_younger_stops_pruning_whatever_follows(chain):
    """A clock that went back: order is by sequence."""
    record(0, at=AT - timedelta(days=9))
    assert run("prune", "--before", "2025-01-02T03:05:00Z")[0] == "5 records removed\n"
    assert not chain_verify().findings


def test_everything_may_go_and_the_chain_goes_on(chain):
    assert run("prune", "--before", "2026-01-01")[0] == "20 records removed\n"
    record(1)
    assert [row.sequence for row in AuditRecord.objects.all()] == [COUNT + 2, COUNT + 1]
    assert not chain_verify().findings
    assert run("verify", "--from", 3)[1] == 0


def test_nothing_to_prune_is_nothing_said():
    assert run("prune", "--before", "2026-01-01")[0] == "0 records removed\n"


def test_a_new_installation_has_nothing_to_verify():
    assert run("verify") == ("0 records are as they were written\n", 0)


@pytest.mark.parametrize(("days", "left"), [(0, COUNT), (1, 1)])
def test_retention_is_kept_by_the_setting(chain, settings, days, left):
    settings.AUDIT_RETENTION_DAYS = days
    records_delete_old(now=datetime(2025, 3, 1, tzinfo=UTC))
    assert AuditRecord.objects.count() == left


def test_records_are_kept_for_a_year_where_nothing_is_set(chain):
    newest = AuditRecord.objects.latest("at").at
    records_delete_old(now=newest + timedelta(days=364))
    assert AuditRecord.objects.exists()
    records_delete_old(now=newest + timedelta(days=366))
    # What is left says that the others were removed.
    assert set(AuditRecord.objects.values_list("event", flat=True)) == {"audit.pruned"}


def test_records_are_in_order_whatever_the_clock_says(chain):
    for minutes in (5, -600, 3):
        record(0, at=AT + timedelta(minutes=minutes))
    assert [row.sequence for row in AuditRecord.objects.all()[:3]] == [COUNT + 3, COUNT + 2, COUNT + 1]
    assert not chain_verify().findings


WAYS = {
    "save": lambda row: row.save(),
    "delete": lambda row: row.delete(),
    "create": lambda _: AuditRecord.objects.create(sequence=99),
    "get_or_create": lambda _: AuditRecord.objects.get_or_create(sequence=99),
    "update_or_create": lambda _: AuditRecord.objects.update_or_create(sequence=1, defaults={"path": "/"}),
    "update": lambda _: AuditRecord.objects.filter(pk=1).update(path="/"),
    "queryset-delete": lambda _: AuditRecord.objects.all().delete(),
    "bulk_create": lambda row: AuditRecord.objects.bulk_create([row]),
    "bulk_update": lambda row: AuditRecord.objects.bulk_update([row], ["path"]),
}


@pytest.mark.parametrize("way", WAYS)
def test_django_changes_no_record(chain, way):
    with pytest.raises(AppendOnly):
        WAYS[way](AuditRecord.objects.get(pk=1))
    assert not chain_verify().findings


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditrecord SET path = '/x' WHERE sequence = 3",
        "DELETE FROM audit_auditrecord WHERE sequence = 3",
    ],
)
def test_the_database_changes_no_record(chain, statement):
    triggers_make(None, EDITOR)
    try:
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            tamper(statement)
        assert run("prune", "--before", "2025-01-02T03:08:00Z")[0] == "8 records removed\n"
        record(1)
    finally:
        triggers_drop(None, EDITOR)
    assert not chain_verify().findings


def test_an_event_has_its_record_with_what_changed(chain):
    event_record(
        at=AT,
        actor="user:1\ud800",
        audit_class="keys",
        event="key.rotated",
        subject="KEY=USD",
        detail={
            "change": ({"a": {"b": [1]}, "gone": 1}, {"a": {"b": [2]}, "new": None}),
            "note": "key:12 md_a1B2c3D4_" + "x" * 32,
            "when": AT,
        },
        correlation_id="0b5c",
    )
    row = AuditRecord.objects.latest("sequence")
    assert (row.caller, row.event, row.subject) == ("user:1\\ud800", "key.rotated", "KEY=USD")
    assert json.loads(row.detail) == {
        "change": [
            {"path": "a.b", "before": [1], "after": [2]},
            {"path": "gone", "before": 1},
            {"path": "new", "after": None},
        ],
        "note": "key:12 ***",
        "when": "2025-01-02T03:00:00Z",
    }
    assert not chain_verify().findings


def test_an_event_without_an_offset_is_none(chain):
    with pytest.raises(ValueError, match="no instant"):
        event_record(at=datetime(2025, 1, 2), actor="", audit_class="", event="", subject="", detail={})


def test_a_user_without_a_name_prunes_as_well(chain, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nameless)
    run("prune", "--before", "2025-01-02T03:08:00Z")
    assert AuditRecord.objects.latest("sequence").caller == f"command:{os.getuid()}"
