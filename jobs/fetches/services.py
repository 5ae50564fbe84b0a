"""Services of fetches: the kinds of their jobs, and what clients see of sources and markets."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from jobs.claims import PATH
from jobs.fetches.running import fetch, read_markets
from jobs.fetches.serializers import FetchRequestSerializer, MarketsRequestSerializer
from jobs.kinds import JobKind
from jobs.models import FAILED, SUCCEEDED, Job
from jobs.services import job_submit
from sources.protocol import SourceRefused
from sources.registry import VENDORS, kind_of, source_named, source_names
from web.endpoints import WRITE, Access
from web.requests.json_fields import JsonObject

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
    attempts=5,
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


def source_documents() -> list[JsonObject]:
    """Return what clients see of all sources. One that cannot be made is left out; the system checks name it."""
    documents: list[JsonObject] = []
    for name in source_names():
        try:
            source, kind = source_named(name), kind_of(name)
        except (ImproperlyConfigured, SourceRefused):
            continue
        is_exchange = kind not in VENDORS and name not in settings.SOURCES
        documents.append(
            {
                "name": name,
                "kind": "exchange" if is_exchange else kind,
                "tested": getattr(source, "tested", "tested"),
                "terms": source.terms,
                "needs_key": kind in VENDORS,
                "has_key": name in settings.SOURCE_KEYS,
            }
        )
    return documents


def markets_document(source: str, search: str, *, now: datetime) -> JsonObject:
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
    document: JsonObject = {
        "state": "reading",
        "message": "",
        "markets": [],
        "more": 0,
        "job": f"{PATH}/{job.uuid}",
    }
    if job.state == FAILED:
        return {**document, "state": "failed", "message": (job.error or {}).get("message", "")}
    if job.state != SUCCEEDED:
        return document
    found = _matching((job.result or {})["markets"], search.upper())
    return {**document, "state": "ready", "markets": found[:_SHOWN], "more": max(0, len(found) - _SHOWN)}


def _matching(markets: Sequence[JsonObject], text: str) -> list[JsonObject]:
    """Return the markets with a text in their names, those that begin with it first."""
    names = ("name", "symbol", "long_name")
    found = [each for each in markets if any(text in each[name].upper() for name in names)]
    return sorted(found, key=lambda each: not each["name"].upper().startswith(text))
