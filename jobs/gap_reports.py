"""The job that reports the silence of exchanges: minutes in which none of their symbols had a trade."""

import logging
import time
from dataclasses import asdict

from calendars.exceptions import UnknownExchange
from jobs.kinds import JobKind, Run
from jobs.serializers import RequestRangeSerializer
from stats.market_data.silence import exchange_silence
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from trades.stores import market_store
from web.requests.json_fields import JsonObject

logger = logging.getLogger(__name__)

KIND = "gap_report"


def gap_report(run: Run) -> JsonObject:
    """Judge each exchange with instruments on each UTC date from `start` to `end`: the function of the kind `gap_report`.

    Returns the numbers of exchanges and dates that were judged, the silent minutes, and the exchanges whose hours are
    unknown. Silent minutes are also logged as warnings.
    """
    start_ns, end_ns = (parse_timestamp(run.parameters[name]) for name in ("start", "end"))
    days = range(start_ns // DAY_NS, -(-end_ns // DAY_NS))
    exchanges = sorted({each.exchange for each in market_store().declared_instruments() if each.exchange})
    note = run.note or {"done": [], "silences": [], "unknown_hours": []}
    for number, exchange in enumerate(exchanges):
        run.progress(number, len(exchanges))
        if exchange not in note["done"]:
            _judge(run, exchange, days, note)
            run.leave(note)
    run.progress(len(exchanges), len(exchanges))
    counts = {"exchanges": len(exchanges), "dates": len(days)}
    return {**counts, "silences": note["silences"], "unknown_hours": note["unknown_hours"]}


def _judge(run: Run, exchange: str, days: range, note: JsonObject) -> None:
    """Add what was found of an exchange to the note."""
    found: list[JsonObject] = []
    try:
        for day in days:
            run.check()
            for silence in exchange_silence(exchange, day, now_ns=time.time_ns()):
                times = {name: format_timestamp(getattr(silence, f"{name}_ns")) for name in ("start", "end")}
                figures = {name: value for name, value in asdict(silence).items() if not name.endswith("_ns")}
                found.append({"exchange": exchange, **times, **figures})
                logger.warning("%s was silent from %s to %s", exchange, times["start"], times["end"])
    except UnknownExchange:
        note["unknown_hours"].append(exchange)
    note["silences"] += found
    note["done"].append(exchange)


GAP_REPORT = JobKind(
    name=KIND,
    function=gap_report,
    serializer=RequestRangeSerializer,
    unit="exchanges",
    at_once=1,
    is_schedulable=True,
)
