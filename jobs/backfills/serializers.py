"""The bodies of the endpoints of backfills, with examples for the schema."""

from typing import Annotated, ClassVar, Literal

from rest_framework import serializers

from calendars.schedule import Hours
from jobs.documents import JOB_ID
from jobs.serializers import RequestRangeSerializer, RequestSymbol, SubmissionSerializer
from store.instruments import GAP_RULES
from web.documents import AnswerDocument, Instant, Uuid, about, like

_WEEK = {"symbol": "AAPL", "start": "2025-01-02", "end": "2025-01-09"}


class BackfillRequestSerializer(SubmissionSerializer, RequestRangeSerializer):
    """What to fill: the gaps of a symbol in `[start, end)`, at most ten years."""

    examples: ClassVar = {"A week": _WEEK}

    symbol = RequestSymbol(max_length=32)
    hours = serializers.ChoiceField(
        [hours.value for hours in Hours],
        required=False,
        help_text="The hours in which bars are expected. Default: regular if the instrument has an exchange, else all.",
    )
    rule = serializers.ChoiceField(
        list(GAP_RULES),
        required=False,
        help_text="Which missing bars are gaps. Default: the instrument's rule.",
    )


class StatementDocument(AnswerDocument):
    """What a source said that gave nothing."""

    source: Annotated[str, like("archive")]
    said: Annotated[str, like("has no rows here, and does not know that there are none")]


class BackfillDocument(AnswerDocument, kw_only=True):
    """A gap for which sources were asked."""

    dataset: Annotated[str, like("trades")]
    symbol: Annotated[str, like("AAPL")]
    start: Annotated[str, like("2025-01-02T14:31:00Z")]
    end: Annotated[str, like("2025-01-02T14:40:00Z")]
    state: Literal["filled", "empty", "exhausted"]
    source: Annotated[str, about("The source of the rows.", "desk")]
    rows: Annotated[int, like(271)]
    told: Annotated[list[StatementDocument], about("What the sources before said.")]
    message: Annotated[str, about("A warning: the first row that is doubtful, or was left out.", "")]
    job: Annotated[Uuid, about("The job that asked.", JOB_ID)]
    attempts: Annotated[int, about("How often sources were asked in vain.", 0)]
    retry_at: Annotated[Instant | None, about("When exhausted sources are asked again.")]
    asked_at: Annotated[Instant, like("2025-01-03T08:00:00Z")]
