"""A record as JSON, for clients and the OpenAPI document."""

import json
from typing import Any

from rest_framework import serializers

from audit.models import AuditRecord
from audit.reading.export import ExportedRecord
from web.endpoints import AUDIT_CLASSES

EXAMPLE = {
    "sequence": 4812,
    "at": "2025-01-02T14:30:00.123456Z",
    "caller": "key:12",
    "method": "PUT",
    "path": "/api/v1/instruments/AAPL",
    "query": "",
    "status": 200,
    "latency_us": 5210,
    "address": "192.0.2.7",
    "correlation_id": "0b5c1f7e",
    "audit_class": "config",
    "event": "",
    "subject": "",
    "detail": {"change": [{"path": "tick_size", "before": 0.01, "after": 0.05}]},
    "previous": "9f2c6c1d0e7b4a5f8d3e2b1a0c9f8e7d6c5b4a39281706f5e4d3c2b1a0918273",
    "hash": "1b0e8a6f5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f",
}


class RecordSerializer(serializers.Serializer[AuditRecord]):
    """One record: an API call, or an event that is not an API call."""

    sequence = serializers.IntegerField(
        min_value=1, help_text="The record's number in the chain; numbers have no gaps."
    )
    at = serializers.DateTimeField(help_text="When the call began.")
    caller = serializers.CharField(help_text="Empty if nobody was authenticated.")
    method = serializers.CharField(help_text="Empty for an event.")
    path = serializers.CharField()
    query = serializers.CharField(help_text="Declared parameters as they were sent; other values are masked.")
    status = serializers.IntegerField(help_text="0 for an event.")
    latency_us = serializers.IntegerField(help_text="Microseconds until the answer was ready.")
    address = serializers.CharField()
    correlation_id = serializers.CharField()
    audit_class = serializers.ChoiceField(
        choices=[(name, name) for name in (*AUDIT_CLASSES, "")],
        help_text="The class of a call or event that is recorded before it is answered.",
    )
    event = serializers.CharField()
    subject = serializers.CharField(help_text="The object of the event, such as key:12.")
    detail = serializers.DictField(
        allow_null=True,
        help_text="`body`: the declared fields that were sent; `change`: the changed members; more for events.",
    )
    previous = serializers.CharField(help_text="The hash of the previous record.")
    hash = serializers.CharField(help_text="A keyed hash over `previous` and this record.")


def record_document(record: ExportedRecord) -> dict[str, Any]:
    """Return the document of a record for a client."""
    detail = record.columns.detail
    return {**record.document(), "detail": json.loads(detail) if detail else None}
