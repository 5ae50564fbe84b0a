"""A market with a gap, backfills of it, and what came of them."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from jobs.models import Job
from sources.models import FetchedLog, SourceSymbol
from store.arrays import Integers
from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME, Append
from store.timestamps import MINUTE_NS, format_timestamp
from tests.api_client import Api, answer
from tests.jobs.running import run_job
from tests.stats.market_data.absence.quiet_market import minutes_of, schedule_of
from trades.stores import market_store

SCHEDULE = schedule_of(30)
MINUTES = minutes_of(SCHEDULE)
# Four trades in each minute.
TIMES = np.sort(np.concatenate([MINUTES + second * MINUTE_NS // 4 for second in range(4)]))
OPEN = int(SCHEDULE.open_ns[28])
LOST = (OPEN + 60 * MINUTE_NS, OPEN + 90 * MINUTE_NS)
PATH = "/api/v1/backfills"
GEN = "/api/v1/market-data/equities/GEN"
DAY = {"start": format_timestamp(OPEN), "end": format_timestamp(OPEN + 390 * MINUTE_NS), "resolution": "1m"}
# The result of a backfill that found no gap.
NO_GAP = {"filled": 0, "empty": 0, "exhausted": 0, "rows": 0, "warnings": []}


def without(*spans: tuple[int, int], times: Integers = TIMES) -> Integers:
    for start, end in spans:
        times = times[(times < start) | (times >= end)]
    return times


def table_of(times: Integers, price: float = 10.0) -> pa.Table:
    count = len(times)
    given = {"timestamp": times.tolist(), "price": [price] * count, "volume": [1.0] * count}
    arrays = [pa.array(given.get(field.name, [None] * count), field.type) for field in TRADES.schema]
    return pa.Table.from_arrays(arrays, schema=TRADES.schema)


def submitted(api: Api, **body: Any) -> Job:
    start, end = format_timestamp(int(SCHEDULE.open_ns[0])), format_timestamp(int(SCHEDULE.close_ns[-1]))
    response = api.call("POST", PATH, orjson.dumps({"symbol": "GEN", "start": start, "end": end, **body}))
    assert response.status_code == 202, response.content
    assert response["Location"] == answer(response)["links"]["self"]
    return Job.objects.get(uuid=answer(response)["id"])


def ran(job: Job) -> dict[str, Any]:
    run_job(job.uuid)
    job.refresh_from_db()
    assert job.state == "succeeded", job.error
    result: dict[str, Any] = job.result or {}
    return result


def stored_times() -> list[int]:
    rows = market_store().log(TRADES, "GEN").at().rows(ALL_TIME)
    times: list[int] = rows.column("timestamp").to_pylist()
    return times


def found_gaps(api: Api, **query: str) -> Any:
    """The gaps that `/gaps` finds on the day of `LOST`."""
    return answer(api.get(f"{GEN}/gaps", {**DAY, **query}))["gaps"]


def bars_of(starts: Integers, price: float) -> pa.Table:
    """One-minute bars."""
    count = len(starts)
    given: dict[str, Any] = {each: [price] * count for each in ("open", "high", "low", "close")}
    given |= {"timestamp": starts, "resolution": ["1m"] * count, "volume": [1.0] * count}
    arrays = [pa.array(given.get(field.name, [None] * count), field.type) for field in BARS.schema]
    return pa.Table.from_arrays(arrays, schema=BARS.schema)


def store_bars(starts: Integers) -> None:
    """Declare the symbol at XNYS and store its one-minute bars."""
    market_store().set_instrument(Instrument("GEN", exchange="XNYS"))
    (rows,) = bars_of(starts, 10.0).combine_chunks().to_batches()
    market_store().append(Append(BARS, "GEN", rows, "tests"))


def fetched_from(source: str, dataset: str, resolution: str = "") -> None:
    """Note that GEN is fetched from a source, as a fetch does."""
    own = SourceSymbol.objects.create(symbol="GEN", source=source, name="GEN")
    FetchedLog.objects.create(source_symbol=own, dataset=dataset, resolution=resolution, start_ns=0)
