"""Backtests over HTTP: the job that runs one, its endpoints, and its page in a browser."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

import msgspec
from django.conf import settings
from django.db.models import QuerySet
from msgspec import Meta
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from jobs.documents import JOB_ID, JobDocument, job_of, jobs_of
from jobs.exceptions import UnknownJob
from jobs.kinds import JobKind, Run
from jobs.models import Job
from jobs.views import (
    JobFilter,
    SubmissionViewSet,
    job_answer,
)
from ratelimit.callers import Caller
from stats.rendering.renderers import QueryFormRenderer
from store.instant_text import format_instant
from trades.stores import market_store
from trading.api.account_view import ACCOUNT_PAGE, ACCOUNT_READ, REPLAY
from trading.api.backtest_inputs import EXAMPLE_WEEK, BacktestInput, inputs_of_job
from trading.core.configuration import LIMITS
from trading.documents.figures import BacktestDocument
from trading.exceptions import BacktestTooLong
from trading.market.market import Market
from trading.strategies.catalogue import strategy_documents
from trading.strategies.outcome import document_bytes, outcome_of
from trading.strategies.stored import stored_rows
from web.documents import AnswerDocument, Instant, Uuid, about, example_of, like
from web.endpoints import Access
from web.lists.pages import NewestPagination
from web.lists.views import ListViewSet
from web.requests.json_fields import JsonObject
from web.views import DeclaredView, id_parameter


class BacktestPageRenderer(QueryFormRenderer):
    """The page of a backtest: the curves, the trades on candles, and all that the run says as JSON."""

    template = "strategies/backtest.html"

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context = super().get_context(data, accepted_media_type, renderer_context)
        if context["problem"] or not context["content"] or renderer_context["view"].action != "retrieve":
            return context
        job = msgspec.json.decode(context["content"])
        return {
            **context,
            "job": job,
            "name": f"Backtest of {job['parameters'].get('strategy', '')}",
            "description": "",
            "figures": job["result"] and _headline(job["result"]["performance"]),
            "notice": job["result"] and job["result"]["notice"],
            "limits": job["result"] and _limits_text(job["result"]["inputs"]),
            "drawn": job["result"] and _drawn(job["result"]),
            "has_charts": settings.HAS_CHARTS,
            "is_running": "cancel" in job["links"],
        }


def _headline(performance: JsonObject) -> list[tuple[str, str]]:
    """Return the names and values of the figures that the page begins with; a dash for those that are not defined."""
    win_rate = performance["win_rate"]
    figures = (
        ("Return", performance["return_pct"], "{:+z.2f} %"),
        ("Max. drawdown", -performance["max_dd"], "{:z.2f} %"),
        ("Sharpe ratio", performance["sharpe"], "{:z.2f}"),
        ("Trades", performance["trades"], "{:,}"),
        ("Win rate", None if win_rate is None else 100 * win_rate, "{:.0f} %"),
        ("Profit factor", performance["profit_factor"], "{:.2f}"),
    )
    texts = ((name, "\N{EN DASH}" if value is None else text.format(value)) for name, value, text in figures)
    return [(name, text.replace("+0.00 ", "0.00 ").replace("-", "\N{MINUS SIGN}")) for name, text in texts]


def _limits_text(inputs: JsonObject) -> str:
    """Return which limits and zones the backtest ran with."""
    if inputs["risk"] == "account":
        return "With the limits and zones of an account."
    held = ", ".join(f"{name} {inputs['config'][name]:g}" for name in LIMITS if name in inputs["config"])
    return f"With no limits and zones but {held}." if held else "Without limits and zones."


def _drawn(result: JsonObject) -> JsonObject:
    """Return what the page's charts show of a result."""
    inputs = result["inputs"]
    return {
        "symbols": inputs["symbols"],
        "start": inputs["start"],
        "end": inputs["end"],
        "curve": result["performance"]["drawdown_curve"],
        "trades": [
            {name: trade[name] for name in ("symbol", "direction", "opened_at", "closed_at", "pnl")}
            for trade in result["trades"]
        ],
        "trades_in_all": result["performance"]["trades"],
        "positions": result["positions"],
    }


# Of a backtest's trades and signals a job keeps so many.
MOST_JOB_ROWS = 1_000
# A backtest takes at most so long, since others wait for its place.
MOST_SECONDS = 600.0
_HUNDRED = 100


class BacktestJobDocument(JobDocument, kw_only=True):
    """A backtest's job."""

    kind: Annotated[str, like("backtest")]
    parameters: Annotated[JsonObject, about("As they were submitted.", EXAMPLE_WEEK)]
    result: Annotated[BacktestDocument | None, about("null until the job has succeeded.")]


_ID = id_parameter(
    "job", "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f12", "The backtest's id, which is that of its job."
)


def backtest(run: Run) -> JsonObject:
    """Run a backtest. Raises BacktestTooLong, and the errors of the store and of trading."""
    until = time.monotonic() + MOST_SECONDS
    reader = stored_rows()
    inputs = inputs_of_job(run.parameters, reader)

    def told(part: float) -> None:
        run.progress(int(part * _HUNDRED), _HUNDRED)
        if time.monotonic() > until:
            raise BacktestTooLong(f"it took more than {MOST_SECONDS:.0f} s: ask for a shorter period")

    document = outcome_of(inputs, reader, told, most_rows=MOST_JOB_ROWS).document
    run.progress(_HUNDRED, _HUNDRED)
    # The list reads the figures here, and not the whole result.
    figures = BacktestFiguresDocument.of_attributes(document.performance)
    run.leave({"figures": figures.as_json()})
    result: JsonObject = msgspec.json.decode(document_bytes(document))
    return result


BACKTEST = JobKind(
    name="backtest",
    function=backtest,
    serializer=BacktestInput,
    unit="per cent",
    access=REPLAY,
    most_unfinished=20,
    attempts=3,
    is_result_large=True,
)


class BacktestFiguresDocument(AnswerDocument):
    """The main figures, in the account's currency or in per cent."""

    trades: Annotated[int, like(12)]
    pnl: Annotated[float, like(152.5)]
    return_pct: Annotated[float, like(0.15)]
    max_dd: Annotated[float, about("The largest drawdown, per cent.", 0.4)]
    sharpe: Annotated[float | None, like(1.7)]


class BacktestRowDocument(AnswerDocument):
    """A backtest in short."""

    id: Annotated[Uuid, like(JOB_ID)]
    state: Annotated[
        Literal["queued", "running", "needs_confirmation", "succeeded", "failed", "cancelled"],
        like("succeeded"),
    ]
    created_at: Annotated[Instant, like("2030-01-02T03:04:05Z")]
    strategy: Annotated[str, like("crossover")]
    symbols: Annotated[list[str], like(["DEMOA", "DEMOB"])]
    start: Annotated[str, about("As it was given.", EXAMPLE_WEEK["start"])]
    end: Annotated[str, about("As it was given.", EXAMPLE_WEEK["end"])]
    progress_pct: Annotated[int, about("How much is done, per cent.", 100)]
    figures: Annotated[
        BacktestFiguresDocument | None,
        about("null until it has succeeded.", example_of(BacktestFiguresDocument)),
    ]

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the document of a backtest's job."""
        figures, given = job.note.get("figures"), job.parameters
        return cls(
            id=str(job.uuid),
            state=cast("Any", job.state),
            created_at=str(format_instant(job.created_at)),
            strategy=given["strategy"],
            symbols=given["symbols"],
            start=given["start"],
            end=given["end"],
            progress_pct=job.done,
            figures=None if figures is None else BacktestFiguresDocument(**figures),
        )


class BacktestsViewSet(SubmissionViewSet, ListViewSet[Any]):
    """Backtests: strategies over the past. A caller sees its own."""

    tag = "trading"
    access = {"list": ACCOUNT_PAGE, "create": BACKTEST.access, "retrieve": ACCOUNT_READ}
    bodies = {"create": BacktestInput}
    answers = {
        "list": BacktestRowDocument,
        "create": {202: BacktestJobDocument},
        "retrieve": BacktestJobDocument,
    }
    parameters = {**SubmissionViewSet.parameters, "retrieve": [_ID]}
    kind = BACKTEST.name
    filterset_class = JobFilter
    pagination_class = NewestPagination
    rows_name = "backtests"
    renderer_classes = [JSONRenderer, BacktestPageRenderer]

    def list(self, request: Request) -> Response:
        """List backtests. One's own backtests, newest first, with what they were asked for and their main figures."""
        return self.answer_page(lambda job: BacktestRowDocument.of(job).as_json(), _backtests_of(request))

    def retrieve(self, request: Request, job: str) -> Response:
        """Get a backtest. A backtest's job, with its progress and at its end its result.

        The result has the inputs, what was assumed, the figures of `GET /performance`, and the first thousand
        trades and signals.
        """
        stored = job_of(cast("Caller", request.user), job)
        if stored.kind != self.kind:
            raise UnknownJob
        return job_answer(stored)

    def create(self, request: Request) -> Response:
        """Run a strategy over the past.

        Queue a job that runs a strategy over stored rows by the engine's rules. No account changes.

        The same inputs and the same stored rows give the same result.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters, with a period. Raises ValidationError, also for symbols without rows in it."""
        return self.body(market=Market(market_store()))


def _backtests_of(request: Request) -> QuerySet[Job]:
    """Return the caller's backtests without their results, which are large."""
    return jobs_of(cast("Caller", request.user)).filter(kind=BACKTEST.name).defer("result")


_PARAMETERS = {
    "title": "CrossoverParameters",
    "description": "fast, slow: bars in the two means.",
    "type": "object",
    "properties": {"fast": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 10}},
    "required": [],
    "additionalProperties": False,
}


class StrategyDocument(AnswerDocument):
    """A strategy."""

    name: Annotated[str, like("crossover")]
    description: Annotated[str, like("Buys when the fast mean of closes crosses above the slow one.")]
    parameters: Annotated[
        dict[str, Any],
        about("The JSON schema of its parameters, with their defaults and bounds.", _PARAMETERS),
        Meta(extra_json_schema={"additionalProperties": True}),
    ]
    sha256: Annotated[str | None, about("Of its file; null: it is shipped.")]


class StrategiesDocument(AnswerDocument):
    """The strategies."""

    strategies: list[StrategyDocument]


class StrategiesViewSet(DeclaredView, ViewSet):
    """The strategies that backtests run and that are assigned to accounts."""

    tag = "trading"
    access = {"list": Access("trading:read")}
    answers = {"list": {200: StrategiesDocument}}

    def list(self, request: Request) -> Response:
        """List strategies. The strategies that can be backtested and assigned, with what they can be told."""
        return Response({"strategies": strategy_documents()})
