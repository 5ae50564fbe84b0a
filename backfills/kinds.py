"""The kinds of jobs that ask sources."""

from backfills import reconciling
from backfills.filling import backfill
from backfills.records import KIND
from backfills.serializers import BackfillRequestSerializer, ReconciliationRequestSerializer
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

RECONCILIATION = JobKind(
    name=reconciling.KIND,
    function=reconciling.reconcile,
    serializer=ReconciliationRequestSerializer,
    unit="dates",
    scope="backfill:write",
    turn=lambda parameters: f"{reconciling.KIND}:{parameters['symbol']}",
    attempts=10,
)
