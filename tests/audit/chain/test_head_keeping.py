"""The head file of many hosts: the duty writes it, and records what the database contradicts."""

import pytest
from django.db import connection

from audit.chain.append import HEAD_CONTRADICTED, head_of_chain
from audit.chain.head_file import head_file
from audit.chain.head_keeping import head_keep
from audit.chain.links import BEGINNING
from audit.chain.verify import chain_verify
from audit.models import AuditRecord, ChainEnds
from tests.audit.builders import AT, chain_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def many_hosts(tmp_path, settings):
    settings.AUDIT_DIR = tmp_path / "audit"
    settings.AUDIT_HEAD_BY_DUTY = True


def noted() -> int:
    return AuditRecord.objects.filter(event=HEAD_CONTRADICTED).count()


def test_the_duty_alone_writes_the_head(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        chain_of(3)
    assert head_file().read() == BEGINNING
    for _ in range(2):
        head_keep(now=AT)
        assert head_file().read() == head_of_chain()
    assert noted() == 0
    assert not chain_verify().findings


def test_an_end_that_was_cut_off_is_recorded_once():
    chain_of(3)
    head_keep(now=AT)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditrecord WHERE sequence = 3")
    ChainEnds.objects.update(head_sequence=2, head_hash=AuditRecord.objects.get(pk=2).hash)
    for _ in range(2):
        head_keep(now=AT)
    assert noted() == 1
    assert head_file().read() == head_of_chain()
    (finding,) = chain_verify().findings
    assert (finding.kind.value, finding.sequence) == ("missing", 3)


def test_a_host_that_has_no_file_yet_records_that(tmp_path, settings):
    chain_of(3)
    head_keep(now=AT)
    settings.AUDIT_DIR = tmp_path / "another host"
    for _ in range(2):
        head_keep(now=AT)
    assert noted() == 1
    assert head_file().read() == head_of_chain()


def test_without_a_folder_that_can_be_written_nothing_is_recorded(tmp_path, settings):
    chain_of(3)
    folder = settings.AUDIT_DIR = tmp_path / "no folder yet"
    folder.write_bytes(b"")
    for _ in range(2):
        head_keep(now=AT)
    assert noted() == 0
    folder.unlink()
    for _ in range(2):
        head_keep(now=AT)
    assert noted() == 1
    assert head_file().read() == head_of_chain()


def test_one_host_needs_no_duty(settings):
    settings.AUDIT_HEAD_BY_DUTY = False
    chain_of(1)
    head_keep(now=AT)
    assert head_file().read() == BEGINNING
