"""The table of the kinds of jobs."""

from backfills.kinds import BACKFILL, RECONCILIATION
from jobs.kinds import JobKind

KINDS: tuple[JobKind, ...] = (BACKFILL, RECONCILIATION)
