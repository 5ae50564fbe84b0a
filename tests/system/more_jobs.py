"""An app with a kind of jobs that appends numbered rows to a log of the store, slowly, and can be resumed.

A killed worker's jobs are taken over after some seconds, with SOAK=1 after as many as everybody's.
"""

import time
from datetime import timedelta
from typing import Any

import pyarrow as pa
from django.apps import AppConfig
from rest_framework import serializers

from jobs.kinds import JobKind, Run
from tests.chance import SOAK
from web.endpoints import Access
from web.requests.field_errors import KnownFieldsSerializer

LEASE = timedelta(seconds=20 if SOAK else 8)
FIRST_NS = 1_735_828_200 * 10**9  # 2025-01-02T14:30:00Z


class MoreJobs(AppConfig):
    name = "tests.system"
    label = "more_jobs"

    def ready(self) -> None:
        from jobs import claims, run  # noqa: PLC0415 their models need the apps
        from marketdata_project import job_kinds  # noqa: PLC0415 as above

        job_kinds.KINDS = (*job_kinds.KINDS, APPENDING)
        assert claims.LEASE >= LEASE
        claims.LEASE, run._RENEWAL_SECONDS = LEASE, LEASE.total_seconds() / 4


class AppendingSerializer(KnownFieldsSerializer):
    symbol = serializers.CharField()
    rows = serializers.IntegerField()
    pause = serializers.FloatField(default=0.0)


def append_rows(run: Run) -> dict[str, Any]:
    """Store equal rows one by one, each as a commit of its own, and sleep in between. Only request keys prevent doubles."""
    from store.datasets import TRADES  # noqa: PLC0415 needs the apps
    from store.protocol import Append, Dedupe  # noqa: PLC0415 as above
    from trades.stores import market_store  # noqa: PLC0415 as above

    symbol, rows = run.parameters["symbol"], run.parameters["rows"]
    row = {"timestamp": FIRST_NS, "symbol": symbol, "price": 1.0, "volume": 1.0}
    batch = pa.RecordBatch.from_pylist([row], schema=TRADES.schema)
    for number in range(run.note.get("stored", 0), rows):
        key = f"job:{run.uuid}:{number}"
        market_store().append(Append(TRADES, symbol, batch, "jobs", Dedupe.NONE, key))
        time.sleep(run.parameters["pause"])
        run.progress(number + 1, rows)
        if number % 3 == 0:
            run.leave({"stored": number + 1})
    return {"rows": rows}


APPENDING = JobKind(
    name="appending",
    function=append_rows,
    serializer=AppendingSerializer,
    unit="rows",
    access=Access("market:write"),
    at_once=5,
)
