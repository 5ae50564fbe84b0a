"""The table of the kinds of jobs."""

from backfills.kinds import BACKFILL
from jobs.kinds import JobKind

KINDS: tuple[JobKind, ...] = (BACKFILL,)
