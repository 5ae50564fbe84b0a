"""Appends audit records to the chain, whose head stays locked until the transaction ends."""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from audit.chain.links import BEGINNING, ChainKey, Head, Link, in_utc
from audit.models import AuditRecord, ChainEnds
from audit.records.columns import AuditColumns

_ENDS = 1

_NAMES = ("sequence", *AuditColumns._fields, "hash")
_INSERT = "INSERT INTO {table} ({names}) VALUES ({places})".format(  # noqa: S608 names of our own
    table=AuditRecord._meta.db_table,  # noqa: SLF001 Django's documented name for it
    names=", ".join(_NAMES),
    places=", ".join(["%s"] * len(_NAMES)),
)


def chain_key() -> ChainKey:
    """Return the key of this installation's chain, from AUDIT_KEY or else SECRET_KEY."""
    return _key_of(settings.AUDIT_KEY or settings.SECRET_KEY)


@cache
def _key_of(secret: str) -> ChainKey:
    return ChainKey(secret)


def head_lock() -> Head:
    """Lock the chain's head until this transaction ends, and return it. Raises django.db.Error.

    On PostgreSQL the row is locked. On SQLite the transaction excludes all other writing transactions.
    """
    ends = ChainEnds.objects.select_for_update().filter(pk=_ENDS).first()
    return Head(ends.head_sequence, ends.head_hash) if ends is not None else _make_head()


def head_reserve() -> None:
    """Lock the head and write it unchanged, to fail early if the database is read-only or full."""
    ChainEnds.objects.filter(pk=_ENDS).update(head_sequence=F("head_sequence"))
    head_lock()


def head_of_chain() -> Head:
    """Return the last record, without a lock. Raises django.db.Error."""
    ends = ChainEnds.objects.filter(pk=_ENDS).first()
    return Head(ends.head_sequence, ends.head_hash) if ends is not None else BEGINNING


def base_of_chain() -> Head:
    """Return the last record that was pruned, or `BEGINNING`. The seal is not checked."""
    ends = ChainEnds.objects.filter(pk=_ENDS).first()
    return Head(ends.base_sequence, ends.base_hash) if ends is not None else BEGINNING


@contextmanager
def records_transaction() -> Iterator[None]:
    """Run a separate transaction that appends records; on SQLite no other such transaction runs at the same time.

    Raises django.db.Error.
    """
    with _turn() as turn, transaction.atomic(durable=True):
        # The next transaction may begin right after the commit, before the other on-commit hooks.
        transaction.on_commit(turn.close)
        yield


@contextmanager
def write_transaction() -> Iterator[None]:
    """Run a transaction in turn with those that append records, or a part of the one that is open.

    Raises django.db.Error.
    """
    with transaction.atomic() if connection.in_atomic_block else records_transaction():
        yield


@contextmanager
def _turn() -> Iterator[ExitStack]:
    """On SQLite, hold `AUDIT_DIR/turn.lock`; closing the stack releases it.

    The kernel queues waiting threads. SQLite has no queue: it retries after up to 100 ms, so one of sixteen
    waiting threads may be passed over for ten seconds. PostgreSQL has a queue.
    """
    with ExitStack() as turn:
        if connection.vendor == "sqlite":
            with suppress(OSError):
                folder = Path(settings.AUDIT_DIR)
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                fcntl.flock(turn.enter_context((folder / "turn.lock").open("ab")), fcntl.LOCK_EX)
        yield turn


def records_append(rows: Iterable[AuditColumns]) -> Head:
    """Append records to the chain in the current transaction; return the new head. Raises django.db.Error."""
    with transaction.atomic():
        before = head_lock()
        links = list(chain_key().chained(before, map(_with_utc, rows)))
        if not links:
            return before
        _insert(links)
        head = Head(links[-1].sequence, links[-1].hash)
        ChainEnds.objects.filter(pk=_ENDS).update(head_sequence=head.sequence, head_hash=head.hash)
        return head


def hash_of(sequence: int) -> str | None:
    """Return the hash of a record in the database; None if there is no record of that number."""
    base = base_of_chain()
    if sequence == base.sequence:
        return base.hash
    return AuditRecord.objects.filter(sequence=sequence).values_list("hash", flat=True).first()


def base_set(base: Head) -> None:
    """Move the chain's base in the current transaction. Then the records up to it can be deleted."""
    ChainEnds.objects.filter(pk=_ENDS).update(
        base_sequence=base.sequence, base_hash=base.hash, base_seal=base_seal(base)
    )


def base_seal(base: Head) -> str:
    """Return the seal that proves that the audit log set the base."""
    return chain_key().seal("base", f"{base.sequence} {base.hash}")


def _make_head() -> Head:
    """Make the missing `ChainEnds` row; its head is the last record, if there is any."""
    last = AuditRecord.objects.order_by("-sequence").values_list("sequence", "hash").first()
    head = BEGINNING if last is None else Head(*last)
    ChainEnds.objects.create(
        pk=_ENDS,
        head_sequence=head.sequence,
        head_hash=head.hash,
        base_sequence=BEGINNING.sequence,
        base_hash=BEGINNING.hash,
        base_seal=base_seal(BEGINNING),
    )
    return head


def _with_utc(row: AuditColumns) -> AuditColumns:
    return row if row.at.tzinfo is UTC else row._replace(at=in_utc(row.at))


def _insert(links: list[Link]) -> None:
    adapt = _sqlite_text if connection.vendor == "sqlite" else connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.executemany(
            _INSERT,
            [(sequence, adapt(row[0]), *row[1:], hash_) for sequence, row, hash_ in links],
        )


def _sqlite_text(at: datetime) -> str:
    """Return what Django stores for an instant in UTC. Django's own function takes four times as long."""
    return str(at.replace(tzinfo=None))
