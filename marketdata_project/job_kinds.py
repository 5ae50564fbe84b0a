"""The table of the kinds of jobs."""

from jobs.kinds import JobKind

KINDS: tuple[JobKind, ...] = ()
