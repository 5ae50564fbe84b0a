"""Audit records in the database, and how far each spool file has been moved there."""

from django.db import models

from audit import record


class AuditRecord(models.Model):
    """One API call. Written by the collector only; the order of `id` is the order of arrival here."""

    at = models.DateTimeField(help_text="When the call began, UTC.")
    caller = models.CharField(
        max_length=record.CALLER_CHARS, blank=True, help_text="Empty: nobody was authenticated."
    )
    method = models.CharField(max_length=record.METHOD_CHARS)
    path = models.CharField(max_length=record.PATH_CHARS)
    query = models.CharField(max_length=record.QUERY_CHARS, blank=True, help_text="Secrets are masked.")
    status = models.PositiveSmallIntegerField()
    latency_us = models.PositiveBigIntegerField("latency (µs)")
    address = models.CharField(max_length=record.ADDRESS_CHARS, blank=True)
    correlation_id = models.CharField(max_length=record.CORRELATION_ID_CHARS, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index(fields=["caller", "-id"], name="audit_caller"),
            models.Index(fields=["method", "-id"], name="audit_method"),
            models.Index(fields=["status", "-id"], name="audit_status"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ} {self.method} {self.path} {self.status}"


class SpoolFile(models.Model):
    """Progress in one spool file: everything before `offset` is in the database or counted as unreadable.

    The row goes when the file is deleted, unless lines of it were unreadable: then it stays as their trace.
    """

    name = models.CharField(max_length=255, unique=True)
    offset = models.PositiveBigIntegerField(default=0)
    unreadable = models.PositiveBigIntegerField(default=0)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}@{self.offset}"
