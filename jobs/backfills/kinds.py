"""The kind of jobs that fill gaps."""

from jobs.backfills.filling import backfill
from jobs.backfills.records import KIND, SUBMISSION
from jobs.backfills.serializers import BackfillRequestSerializer
from jobs.kinds import JobKind

BACKFILL = JobKind(
    name=KIND,
    function=backfill,
    serializer=BackfillRequestSerializer,
    unit="gaps",
    access=SUBMISSION,
    # One turn for a symbol, so that two of its backfills never ask for the same gap.
    turn=lambda parameters: f"{KIND}:{parameters['symbol']}",
    at_once=5,
    is_schedulable=True,
)
