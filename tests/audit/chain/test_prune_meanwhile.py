"""Records are pruned while others verify the chain, or prune it, too."""

import pytest
from django.db import connection

from audit.chain import prune, verify
from audit.chain.append import head_lock
from audit.chain.prune import records_prune
from audit.chain.verify import chain_verify
from audit.models import AuditRecord, ChainEnds
from tests.audit.builders import AT, chain_of

pytestmark = pytest.mark.django_db
COUNT = 60


@pytest.fixture(autouse=True)
def chain(tmp_path, settings, django_capture_on_commit_callbacks, monkeypatch):
    settings.AUDIT_DIR = tmp_path / "audit"
    monkeypatch.setattr("audit.chain.verify.CHUNK", 6)
    monkeypatch.setattr(prune, "BATCH_SIZE", 4)
    with django_capture_on_commit_callbacks(execute=True):
        chain_of(COUNT)


def after_first_chunk(monkeypatch, action):
    """Have `action` called once, before the second chunk of records is read."""
    actions, read = [action], verify._rows_after

    def rows_after(sequence):
        if sequence == 6 and actions:
            actions.pop()()
        return read(sequence)

    monkeypatch.setattr(verify, "_rows_after", rows_after)


def pruned(count):
    """How many went when those of the first `count` numbers were to go."""
    before = AuditRecord.objects.get(sequence=count + 1).at
    return records_prune(before=before, now=AT, actor="test")


def test_a_chain_that_is_pruned_while_it_is_verified_is_whole(monkeypatch):
    after_first_chunk(monkeypatch, lambda: pruned(20))
    found = chain_verify()
    assert (found.findings, found.last.sequence) == ([], COUNT + 1)
    assert found.records == COUNT + 1 - 14


def test_what_is_pruned_meanwhile_hides_no_record_that_is_missing(monkeypatch):
    def tamper():
        pruned(20)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM audit_auditrecord WHERE sequence = 30")

    after_first_chunk(monkeypatch, tamper)
    (found,) = chain_verify().findings
    assert (found.kind.value, found.sequence) == ("missing", 30)


def test_a_beginning_that_is_forged_meanwhile_is_not_believed(monkeypatch):
    def forge():
        base = AuditRecord.objects.get(sequence=20)
        ChainEnds.objects.update(base_sequence=20, base_hash=base.hash)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM audit_auditrecord WHERE sequence <= 20")

    after_first_chunk(monkeypatch, forge)
    (found,) = chain_verify().findings
    assert (found.kind.value, found.sequence) == ("missing", 7)


@pytest.mark.parametrize(("other", "left"), [(8, 12), (20, 0), (30, 0)])
def test_two_that_prune_at_once_remove_each_record_once(monkeypatch, other, left):
    """The other one is done when the first gets the lock."""
    others = [other]

    def locked_later():
        if others:
            assert pruned(others.pop()) == other
        return head_lock()

    monkeypatch.setattr(prune, "head_lock", locked_later)
    assert pruned(20) == left
    assert AuditRecord.objects.earliest("sequence").sequence == max(other, 20) + 1
    assert not chain_verify().findings
