"""The functions of the jobs: fetch rows, and read the markets of a source."""

import time
from typing import Any

from jobs.exceptions import ConfirmationNeeded
from jobs.kinds import Run
from sources.fetching import Fetch, FetchResult
from sources.planning import FetchOrder, FetchPlan, fetch_plan, terms_unshown
from sources.registry import source_forget, source_named
from store.datasets import BARS, DATASETS
from store.protocol import Window
from store.timestamps import MINUTE_NS, format_timestamp, parse_timestamp
from web.requests.json_fields import JsonObject

_UNANSWERED_SHOWN = 20
_CHECK_SECONDS = 0.5


def fetch(run: Run) -> JsonObject:
    """Fetch what the parameters say, after a confirmation if they ask for one or the source takes money.

    An attempt after another one goes on: what was answered is known. Raises `SourceError`s, ConfirmationNeeded.
    """
    parameters = {**run.parameters, **run.note}
    plan = fetch_plan(_order(parameters), now_ns=time.time_ns())
    if not run.is_confirmed and (parameters["preview"] or plan.cost.price):
        # What was shown is what is bought.
        run.leave({"end": format_timestamp(plan.order.window.end_ns)})
        raise ConfirmationNeeded(_plan_document(plan))
    total = sum(each.end_ns - each.start_ns for each in plan.windows) // MINUTE_NS

    def pause(seconds: float, _: str) -> None:
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            run.check()
            time.sleep(min(rest, _CHECK_SECONDS))

    result = Fetch(plan, moved=lambda done_ns: run.progress(done_ns // MINUTE_NS, total), pause=pause).run()
    return _result_document(plan, result)


def read_markets(run: Run) -> JsonObject:
    """Return the markets of a source, and forget them in this process: an exchange's take megabytes. Raises `SourceError`s."""
    found: list[JsonObject] = []
    for market in source_named(run.parameters["source"]).markets():
        run.check()
        found.append(
            {
                "name": market.name,
                "symbol": market.symbol,
                "class": market.cls,
                "long_name": market.long_name,
                "currency": market.currency,
            }
        )
    source_forget(run.parameters["source"])
    return {"markets": found}


def _order(parameters: JsonObject) -> FetchOrder:
    dataset = DATASETS[parameters["dataset"]]
    end_ns = parse_timestamp(parameters["end"]) if "end" in parameters else time.time_ns()
    return FetchOrder(
        parameters["source"],
        parameters["name"],
        dataset,
        parameters["timeframe"] if dataset is BARS else "",
        Window(parse_timestamp(parameters["start"]), end_ns),
        parameters.get("symbol", ""),
        parameters["again"],
    )


def _plan_document(plan: FetchPlan) -> JsonObject:
    order, cost = plan.order, plan.cost
    return {
        **_what(plan),
        "start": format_timestamp(order.window.start_ns),
        "end": format_timestamp(order.window.end_ns),
        "unknown": [_window(each) for each in plan.windows],
        "requests": cost.requests,
        "rows": cost.rows,
        "seconds": cost.seconds,
        "bytes": plan.bytes,
        "price": cost.price,
        "terms": terms_unshown(plan.source),
        "tested": getattr(plan.source, "tested", "tested"),
    }


def _result_document(plan: FetchPlan, result: FetchResult) -> JsonObject:
    return {
        **_what(plan),
        "new": result.new,
        "known": result.known,
        "corrected": result.corrected,
        "left_out": result.left_out,
        "wrong": result.wrong,
        "actions": result.actions,
        "unanswered": [_window(each) for each in result.unanswered[:_UNANSWERED_SHOWN]],
        "unanswered_count": len(result.unanswered),
    }


def _what(plan: FetchPlan) -> dict[str, Any]:
    instrument = plan.wanted.instrument
    return {
        "symbol": plan.symbol,
        "class": instrument.instrument_class,
        "source": plan.order.source,
        "name": plan.order.name,
    }


def _window(window: Window) -> JsonObject:
    return {"start": format_timestamp(window.start_ns), "end": format_timestamp(window.end_ns)}
