"""Audit records for tests, put into the chain by the audit log's own writer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audit.chain.append import records_append
from audit.models import AuditRecord
from audit.records.call import record_of_call
from audit.records.columns import AuditColumns
from audit.spooling.lines import encode_line

AT = datetime(2025, 1, 2, 3, tzinfo=UTC)


def columns(number: int = 0, **changes: Any) -> AuditColumns:
    """What a call leaves, unlike that of any other number."""
    call = AuditColumns(
        at=AT + timedelta(minutes=number),
        caller="key:1",
        method="GET",
        path="/api/v1/stats/ohlc",
        query="",
        status=200,
        latency_us=100,
        address="127.0.0.1",
        correlation_id=f"call-{number}",
    )
    return call._replace(**changes)


def spooled(number: int) -> bytes:
    """The line that a call leaves in the spool; its latency and its correlation id are its number."""
    return encode_line(
        record_of_call(
            at=AT,
            caller="key:12",
            method="GET",
            path="/api/v1/stats/ohlc",
            query="symbol=AAPL",
            status=200,
            latency_us=number,
            address="127.0.0.1",
            correlation_id=f"call-{number}",
            declared=frozenset({"symbol"}),
        )
    )


def spool_records(folder: Path) -> list[dict[str, Any]]:
    """The records in the spool of AUDIT_DIR `folder`, in no order, without columns that only some records have."""
    lines = [line for file in folder.glob("spool/*") for line in file.read_bytes().splitlines()]
    records = [dict(zip(AuditColumns._fields, json.loads(line), strict=True)) for line in lines]
    defaults = AuditColumns._field_defaults
    return [{name: each[name] for name in each if each[name] != defaults.get(name)} for each in records]


def record(number: int = 0, **changes: Any) -> AuditRecord:
    """A record at the chain's head."""
    head = records_append([columns(number, **changes)])
    return AuditRecord.objects.get(pk=head.sequence)


def chain_of(count: int, *, batch: int = 7) -> None:
    """`count` records more, in several batches."""
    for start in range(0, count, batch):
        records_append([columns(number) for number in range(start, min(start + batch, count))])
