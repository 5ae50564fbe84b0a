"""The kinds of jobs about missing rows."""

from jobs.backfills import gap_report
from jobs.backfills.filling import backfill
from jobs.backfills.records import KIND, SUBMISSION
from jobs.backfills.serializers import BackfillRequestSerializer, RequestRangeSerializer
from jobs.kinds import JobKind
from web.requests.json_fields import JsonObject


def _turn(parameters: JsonObject) -> str:
    """Return the turn of a symbol's backfills, so that two of them never ask for the same gap."""
    return f"{KIND}:{parameters['symbol']}"


BACKFILL = JobKind(
    name=KIND,
    function=backfill,
    serializer=BackfillRequestSerializer,
    unit="gaps",
    access=SUBMISSION,
    turn=_turn,
    at_once=5,
    is_schedulable=True,
)

GAP_REPORT = JobKind(
    name=gap_report.KIND,
    function=gap_report.gap_report,
    serializer=RequestRangeSerializer,
    unit="exchanges",
    at_once=1,
    is_schedulable=True,
)
