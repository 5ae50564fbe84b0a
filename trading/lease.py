"""Leases: at any time one process of the installation is the engine, and one runs the strategies, or none."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max, Q

from audit.chain.append import write_transaction
from trading.exceptions import EngineUnavailable
from trading.models import Lease, LogProgress

LEASE_SECONDS = 5
# The rows of the leases.
ENGINE, STRATEGIES = 1, 2
_LEASE_NS = LEASE_SECONDS * 10**9


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What is known of the engine.

    now_ns: its clock. started_ns: 0 while it is away. document: what it says of itself.
    """

    is_alive: bool
    now_ns: int
    started_ns: int
    document: dict[str, Any]


def lease_take(
    holder: UUID, *, now_ns: int | None = None, document: dict[str, Any] | None = None, of: int = ENGINE
) -> bool:
    """Take a lease, or renew it.

    Return whether the holder has it now. now_ns: of the engine's clock; None for the wall clock.
    """
    lease, _ = Lease.objects.get_or_create(pk=of)
    if lease.holder not in {holder, None} and lease.leased_until_ns >= _database_ns():
        return False
    with write_transaction():
        wall_ns = _database_ns()
        values = {"leased_until_ns": wall_ns + _LEASE_NS, "now_ns": now_ns, "document": document or {}}
        if Lease.objects.filter(pk=of, holder=holder).update(**values):
            return True
        free = Lease.objects.filter(Q(leased_until_ns__lt=wall_ns) | Q(holder=None), pk=of)
        return bool(free.update(**values, holder=holder, started_ns=wall_ns))


def lease_renew(holder: UUID) -> bool:
    """Renew the engine's lease, also one that is over but that nobody took. Return whether the holder has it now.

    In a transaction nobody can take it until the end.
    """
    until_ns = _database_ns() + _LEASE_NS
    return bool(Lease.objects.filter(pk=ENGINE, holder=holder).update(leased_until_ns=until_ns))


def lease_end(holder: UUID, *, of: int = ENGINE) -> None:
    """Give a lease back, so that another process may take it at once.

    Until the end of the engine's lease the engine counts as alive: a restart, in which another one follows within a second, refuses no order.
    """
    Lease.objects.filter(pk=of, holder=holder).update(holder=None)


def _database_ns() -> int:
    """Return the time by PostgreSQL's clock: those of hosts may differ. SQLite has no other host."""
    if connection.vendor == "sqlite":
        return time.time_ns()
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint")
        return int(cursor.fetchone()[0])


def engine_status() -> EngineStatus:
    """Return whether the engine lives, and its clock."""
    wall_ns = time.time_ns()
    lease = Lease.objects.filter(pk=ENGINE).first()
    if lease is None:
        return EngineStatus(is_alive=False, now_ns=wall_ns, started_ns=0, document={})
    is_alive = lease.leased_until_ns >= _database_ns()
    now_ns = wall_ns if lease.now_ns is None else lease.now_ns
    return EngineStatus(is_alive, now_ns, lease.started_ns if is_alive else 0, lease.document)


def data_clock_ns() -> int:
    """Return how far the data clock of the last engine had come; 0 if there was none.

    It is that of the lease, which is renewed each second, or of the rows from which something followed since.
    """
    renewed_ns = Lease.objects.values_list("now_ns", flat=True).filter(pk=ENGINE).first() or 0
    taken_ns: int | None = LogProgress.objects.aggregate(newest_ns=Max("newest_ns"))["newest_ns"]
    return max(renewed_ns, taken_ns or 0)


def require_engine() -> EngineStatus:
    """Return the engine's status. Raises EngineUnavailable if it is away."""
    status = engine_status()
    if not status.is_alive:
        raise EngineUnavailable("the engine is away; nothing can be opened until it is back")
    return status
