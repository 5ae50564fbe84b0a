"""Fetches: the jobs that fetch rows and read the markets of a source, and what clients see of sources and markets."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from jobs.claims import PATH
from jobs.exceptions import ConfirmationNeeded
from jobs.fetches.serializers import (
    FetchRequestSerializer,
    MarketDocument,
    MarketsRequestSerializer,
    SourceDocument,
    SourceMarketsDocument,
)
from jobs.kinds import JobKind, Run
from jobs.models import FAILED, SUCCEEDED, Job
from jobs.services import job_submit
from sources.feed_services import can_feed
from sources.fetching import Fetch, FetchResult
from sources.planning import FetchOrder, FetchPlan, fetch_plan, terms_unshown
from sources.protocol import SourceFailed, SourceRefused
from sources.registry import VENDORS, kind_of, source_forget, source_named, source_names
from store.datasets import BARS, DATASETS
from store.protocol import Window
from store.timestamps import MINUTE_NS, format_timestamp, parse_timestamp
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject

_UNANSWERED_SHOWN = 20
_CHECK_SECONDS, _LONGEST_PAUSE = 0.5, 10.0


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

    def pause(seconds: float, reason: str) -> None:
        if seconds > _LONGEST_PAUSE:
            # Other jobs need the thread. This one starts again when the source may be asked.
            raise SourceFailed(reason, seconds)
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            run.check()
            time.sleep(min(rest, _CHECK_SECONDS))

    result = Fetch(plan, moved=lambda done_ns: run.progress(done_ns // MINUTE_NS, total), pause=pause).run()
    return _result_document(plan, result)


def read_markets(run: Run) -> JsonObject:
    """Return the markets of a source, and forget them in this process: an exchange's take megabytes. Raises `SourceError`s."""
    found = []
    for market in source_named(run.parameters["source"]).markets():
        run.check()
        found.append(MarketDocument.of_attributes(market).as_json())
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
    return {
        **_what(plan),
        **_window(plan.order.window),
        "unknown": [_window(each) for each in plan.windows],
        **plan.cost._asdict(),
        "bytes": plan.bytes,
        "terms": terms_unshown(plan.source),
        "tested": plan.source.tested,
    }


def _result_document(plan: FetchPlan, result: FetchResult) -> JsonObject:
    return {
        **_what(plan),
        **vars(result),
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


SUBMISSION = Access("backfill:write", kind=WRITE)
OWNER = "service"
_FRESH, _FAILED_FOR = timedelta(days=1), timedelta(minutes=1)
_SHOWN = 50

FETCH = JobKind(
    name="fetch",
    function=fetch,
    serializer=FetchRequestSerializer,
    unit="minutes",
    access=SUBMISSION,
    # The pace of a source does not grow with the number of fetches.
    turn=lambda parameters: f"fetch:{parameters['source']}",
    is_schedulable=True,
)
MARKETS = JobKind(
    name="markets",
    function=read_markets,
    serializer=MarketsRequestSerializer,
    unit="markets",
    attempts=2,
    at_once=1,
    is_result_large=True,
)


def source_documents() -> list[SourceDocument]:
    """Return what clients see of all sources. One that cannot be made is left out; the system checks name it."""
    documents = []
    for name in source_names():
        try:
            source, kind = source_named(name), kind_of(name)
        except (ImproperlyConfigured, SourceRefused):
            continue
        is_exchange = kind not in VENDORS and name not in settings.SOURCES
        documents.append(
            SourceDocument(
                name=name,
                kind="exchange" if is_exchange else kind,
                tested=source.tested,
                terms=source.terms,
                needs_key=kind in VENDORS,
                has_key=name in settings.SOURCE_KEYS,
                can_feed=can_feed(name),
            )
        )
    return documents


def markets_document(source: str, search: str, *, now: datetime) -> SourceMarketsDocument:
    """Return the markets of a source whose names have a text. If none were read today, let a job read them.

    A job, because it loads what web processes must not: the library of the exchanges. Raises `SourceRefused`.
    """
    kind_of(source)
    of_source = Job.objects.filter(kind=MARKETS.name, parameters__source=source).order_by("-pk")
    job = of_source.filter(state=SUCCEEDED, finished_at__gt=now - _FRESH).first()
    job = job or of_source.filter(state=FAILED, finished_at__gt=now - _FAILED_FOR).first()
    job = job or job_submit(
        kind=MARKETS.name,
        parameters={"source": source},
        owner=OWNER,
        created_by=OWNER,
        now=now,
        once_key=f"{MARKETS.name}:{source}",
    )
    path = f"{PATH}/{job.uuid}"
    if job.state == FAILED:
        return SourceMarketsDocument("failed", path, message=(job.error or {}).get("message", ""))
    if job.state != SUCCEEDED:
        return SourceMarketsDocument("reading", path)
    found = _matching(msgspec.convert((job.result or {})["markets"], list[MarketDocument]), search.upper())
    return SourceMarketsDocument("ready", path, markets=found[:_SHOWN], more=max(0, len(found) - _SHOWN))


def _matching(markets: Sequence[MarketDocument], text: str) -> list[MarketDocument]:
    """Return the markets with a text in their names, those that begin with it first."""
    found = [
        each
        for each in markets
        if any(text in name.upper() for name in (each.name, each.symbol, each.long_name))
    ]
    return sorted(found, key=lambda each: not each.name.upper().startswith(text))
