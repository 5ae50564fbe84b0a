"""Services of the audit log: record calls and events, move spooled records into the database."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Unpack

from django.conf import settings

from audit.chain.append import head_of_chain, head_reserve, records_append
from audit.records.call import AuditEvent, CallOutcome, columns_of_event, record_of_call
from audit.records.columns import AuditColumns
from audit.records.recorded_names import RECORDED_NAMES
from audit.spooling.anonymous_refusals import AnonymousRefusals, refusals_of
from audit.spooling.collector import SpoolLag, exclusive, file_collect, spool_lag
from audit.spooling.lines import encode_line
from audit.spooling.spool import SUFFIX, Spool, process_spool
from ops.metrics.declarations import AUDIT_COLLECTED
from web.requests.received import ReceivedCall

logger = logging.getLogger(__name__)

EventRecorder = Callable[..., None]
"""`event_record`, or a function with the same arguments that records later in the same transaction."""

COLLECT_LIMIT = 50_000
_NO_SUCCESS = 300
_NOT_MODIFIED = 304


def call_spool() -> Spool:
    """This process's spool, in `AUDIT_DIR/spool`."""
    return process_spool(Path(settings.AUDIT_DIR) / "spool")


def anonymous_refusals() -> AnonymousRefusals:
    """This process's counter of anonymous refusals. Call `settle` each second, and `close` at the end."""
    return refusals_of(call_spool())


def call_record(*, spool: Spool, call: ReceivedCall, **outcome: Unpack[CallOutcome]) -> bool:
    """Record an API call in the spool.

    An anonymous refusal is recorded only if it is its address's first in the minute. All others are counted. Returns
    False if the record could not be written; that is logged and counted, and the call need not fail.
    """
    is_counted = is_anonymous_refusal(outcome["caller"], outcome["status"])
    if is_counted and refusals_of(spool).count(call.address, outcome["status"]):
        return True
    return spool.append(encode_line(record_of(call, **outcome)))


def record_of(call: ReceivedCall, **outcome: Unpack[CallOutcome]) -> AuditColumns:
    """Return the masked record of a call."""
    return record_of_call(
        method=call.method,
        path=call.path,
        query=call.query,
        address=call.address,
        declared=RECORDED_NAMES,
        **outcome,
    )


def is_anonymous_refusal(caller: str, status: int) -> bool:
    """Return whether nobody was authenticated and the status is neither 2xx nor 304."""
    return not caller and status >= _NO_SUCCESS and status != _NOT_MODIFIED


def event_record(**event: Unpack[AuditEvent]) -> None:
    """Record an event, such as a change by a command, in the admin, by the worker or by an API call.

    The record belongs to the current transaction, so it is committed together with the change that it describes.
    Locks the chain's head until the transaction ends. Raises django.db.Error, and ValueError for an `at` without an
    offset.
    """
    records_append([columns_of_event(**event)])


def events_lock() -> None:
    """Lock the chain's head until the current transaction ends, so that no other event is recorded meanwhile.

    Raises django.db.Error.
    """
    head_reserve()


def spool_collect(*, now: datetime, limit: int = COLLECT_LIMIT) -> int:
    """Move spooled records into the database, oldest file first; return the number of moved records.

    Stops after about `limit` records (two or three seconds). Returns 0 if another collector is running. A file that
    cannot be read is logged and skipped. Raises django.db.Error, without losing a record.
    """
    with exclusive(Path(settings.AUDIT_DIR) / "collector.lock") as is_locked:
        if not is_locked:
            return 0
        moved = 0
        for path in sorted(_spool_folder().glob(f"*{SUFFIX}")):
            if moved >= limit:
                break
            try:
                moved += file_collect(path, now=now, limit=limit - moved)
            except OSError:
                logger.exception("the audit spool file %s cannot be collected", path.name)
        AUDIT_COLLECTED.inc(moved)
        return moved


def audit_lag(*, now: datetime) -> SpoolLag:
    """Return the amount and age of spooled records that are not in the database yet. Raises django.db.Error."""
    return spool_lag(_spool_folder(), now=now)


def head_log(*, now: datetime) -> None:
    """Log the newest record's number and hash, for `audit verify --head`. Raises django.db.Error."""
    logger.info("audit head %d:%s", *head_of_chain())


def _spool_folder() -> Path:
    return Path(settings.AUDIT_DIR) / "spool"
