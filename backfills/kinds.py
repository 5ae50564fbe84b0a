"""The kind of jobs that fill gaps."""

from backfills.filling import backfill
from backfills.records import KIND
from backfills.serializers import BackfillRequestSerializer
from jobs.kinds import Document, JobKind


def _turn(parameters: Document) -> str:
    """Return the turn of a symbol's backfills, so that two of them never ask for the same gap."""
    return f"{KIND}:{parameters['symbol']}"


BACKFILL = JobKind(
    name=KIND,
    function=backfill,
    serializer=BackfillRequestSerializer,
    unit="gaps",
    scope="backfill:write",
    turn=_turn,
    at_once=5,
)
