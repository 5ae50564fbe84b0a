"""What a page tells besides its rows."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from store.bars.adjustment import WhyNotApplied
from store.datasets import ACTION_KINDS
from trades.batches.text_rules import resolution_schema
from web.documents import AnswerDocument, Instant, about, like

Reason = Literal["closed", "not_yet", "no_trades", "halted", "gap", "pending", "unlisted", "unknown_hours"]
ResolutionName = Annotated[str, Meta(extra_json_schema=resolution_schema(), examples=["1m"])]


class AbsenceDocument(AnswerDocument):
    """A run of intervals without a bar."""

    start: Annotated[Instant, like("2025-01-02T21:00:00Z")]
    end: Annotated[Instant, like("2025-01-03T14:30:00Z")]
    reason: Reason


class KnowledgeDocument(AnswerDocument):
    """With `knowledge=then`: the number of rows by the time that told when they were known."""

    received_at: Annotated[int, like(390)]
    committed_at: Annotated[int, like(0)]
    event: Annotated[int, like(0)]


class NotAppliedDocument(AnswerDocument, kw_only=True):
    """A stored corporate action that was not applied. It has `symbol` with `symbols=`."""

    symbol: str | UnsetType = UNSET
    timestamp: Annotated[Instant, like("2025-01-02T00:00:00Z")]
    kind: Annotated[str, Meta(extra_json_schema={"enum": list(ACTION_KINDS)}, examples=["dividend"])]
    reason: WhyNotApplied


class UnadjustedDocument(AnswerDocument, kw_only=True):
    """A share whose bars are not adjusted. It has `symbol` with `symbols=`."""

    symbol: str | UnsetType = UNSET
    reason: Literal["no actions stored"]


class PageTail(AnswerDocument):
    """What follows the rows of a page."""

    next_cursor: str | None
    prev_cursor: str | None
    total_estimate: Annotated[int, about("An upper bound of the number of rows.", 1)]
    not_applied: Annotated[
        list[NotAppliedDocument] | UnsetType,
        about("With `adjustment`: the stored corporate actions that were not applied."),
    ] = UNSET
    unadjusted: Annotated[
        list[UnadjustedDocument] | UnsetType,
        about(
            "With `adjustment`: a share without stored corporate actions, whose prices are as they were traded."
        ),
    ] = UNSET
    knowledge: KnowledgeDocument | UnsetType = UNSET
    absences: Annotated[
        list[AbsenceDocument] | UnsetType, about("With `coverage=1`: the intervals without a bar.")
    ] = UNSET
    reason: Annotated[str | UnsetType, about("Why there are no rows.")] = UNSET
