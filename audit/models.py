"""The tables of audit records, of the two ends of their chain, and of the progress in each spool file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from django.db import models
from django.db.models import Q

from audit.exceptions import AppendOnly
from audit.records import columns

# Generic for the type checker only: at run time Django ignores the parameter.
if TYPE_CHECKING:
    _QuerySet = models.QuerySet["AuditRecord"]
else:
    _QuerySet = models.QuerySet


def _refused(*_: Any, **__: Any) -> NoReturn:
    raise AppendOnly


class AuditRecords(_QuerySet):
    """A read-only query set: writing methods raise AppendOnly. `audit.chain.append` writes records."""

    create = get_or_create = update_or_create = _refused
    update = bulk_update = bulk_create = delete = _raw_delete = _update = _insert = _refused


class AuditRecord(models.Model):
    """One API call, or one event.

    The chain numbers records by `sequence`, from 1 on without a gap.
    """

    # BigAutoField, because SQLite uses it as the row id. The number is never generated: the chain sets it.
    sequence = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(help_text="When the call began, UTC.")
    caller = models.CharField(
        max_length=columns.CALLER_CHARS, blank=True, help_text="Empty: nobody was authenticated."
    )
    method = models.CharField(max_length=columns.METHOD_CHARS, blank=True, help_text="Empty: an event.")
    path = models.CharField(max_length=columns.PATH_CHARS, blank=True)
    query = models.CharField(max_length=columns.QUERY_CHARS, blank=True, help_text="Secrets are masked.")
    status = models.PositiveSmallIntegerField(help_text="0: an event, or an answer that never was.")
    latency_us = models.PositiveBigIntegerField("latency (µs)")
    address = models.CharField(max_length=columns.ADDRESS_CHARS, blank=True)
    correlation_id = models.CharField(max_length=columns.CORRELATION_ID_CHARS, blank=True)
    audit_class = models.CharField("class", max_length=columns.CLASS_CHARS, blank=True)
    event = models.CharField(max_length=columns.EVENT_CHARS, blank=True)
    subject = models.CharField(max_length=columns.SUBJECT_CHARS, blank=True)
    detail = models.TextField(blank=True, help_text="JSON: masked parameters, changes.")
    hash = models.CharField(max_length=64, help_text="Over this record and the hash before it, keyed.")

    objects = AuditRecords.as_manager()  # type: ignore[django-manager-missing]

    class Meta:
        ordering = ["-sequence"]
        # Ascending, though the newest records are read first: an entry at the end of its value's entries is cheaper.
        indexes = [
            models.Index(fields=["at"], name="audit_record_at"),
            models.Index(fields=["caller", "sequence"], name="audit_record_caller"),
            models.Index(fields=["method", "sequence"], name="audit_record_method"),
            models.Index(fields=["status", "sequence"], name="audit_record_status"),
            models.Index(fields=["correlation_id"], name="audit_record_correlation"),
            models.Index(
                fields=["audit_class", "sequence"], name="audit_record_class", condition=~Q(audit_class="")
            ),
        ]

    def __str__(self) -> str:
        what = self.event or f"{self.method} {self.path} {self.status}"
        return f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ} {what}"

    save = save_base = delete = _refused


class ChainEnds(models.Model):
    """The chain's head, which every writer locks, and its base: the last record that was pruned.

    The table has one row, made with the first record. `base_seal` proves that the audit log set the base.
    """

    head_sequence = models.PositiveBigIntegerField()
    head_hash = models.CharField(max_length=64)
    base_sequence = models.PositiveBigIntegerField()
    base_hash = models.CharField(max_length=64)
    base_seal = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"({self.base_sequence}, {self.head_sequence}]"


class SpoolFile(models.Model):
    """Progress in one spool file: all lines before `offset` are in the database, the unreadable ones as an event.

    The row is deleted with the file.
    """

    name = models.CharField(max_length=255, unique=True)
    offset = models.PositiveBigIntegerField(default=0)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}@{self.offset}"
