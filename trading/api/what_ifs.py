"""What-if: the job that replays an account under other limits, and its endpoint."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from jobs.kinds import Document, JobKind, Run
from jobs.serializers import JOB, JobSerializer
from jobs.views import IDEMPOTENCY_KEY, PREFER, SubmissionViewSet
from store.timestamps import parse_timestamp
from trading.api.access import REPLAY
from trading.api.account_inputs import InstantField, SomeLimitsInput, whole_config
from trading.api.write_calls import TradingWrites, require_submitter
from trading.journal import state_of
from trading.models import Account
from trading.services.accounts import account_find
from trading.what_if.answer import what_if_document
from trading.what_if.stored import replay_of
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Text

_EXAMPLE = {
    "account": "main",
    "config": {"max_symbol_exposure": 10.0, "daily_loss": 1.5},
    "start": "2025-01-02",
}


class WhatIfInput(KnownFieldsSerializer):
    """A replay of an account with some limits changed."""

    account = Text(
        max_length=64, required=False, help_text="Default: the only account that the caller may see."
    )
    config = SomeLimitsInput(help_text="The limits that are others; `{}` for none.")
    start = InstantField(
        required=False, help_text="From when the limits are others. Default: the account's beginning."
    )
    end = InstantField(required=False, help_text="Default: now, by the engine's clock.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a time that ends before it begins."""
        if (
            "start" in attrs
            and "end" in attrs
            and parse_timestamp(attrs["start"]) >= parse_timestamp(attrs["end"])
        ):
            raise field_refusal("end", "must be later than start", "invalid_range")
        return attrs


class WhatIfParameters(WhatIfInput):
    """The parameters of a job that replays an account."""

    account = Text(max_length=64)


def what_if(run: Run) -> Document:
    """Replay an account. Raises WhatIfTooLong, those of SUBMITTER_REFUSED."""
    require_submitter(run, WHAT_IF.access)
    parameters = run.parameters
    account = Account.objects.get(name=parameters["account"])
    since_ns, until_ns = (
        parse_timestamp(parameters[name]) if name in parameters else None for name in ("start", "end")
    )
    replay = replay_of(
        account, limits=parameters["config"], since_ns=since_ns, until_ns=until_ns, progress=run.progress
    )
    return {"account": account.name, "config": parameters["config"], **what_if_document(replay)}


WHAT_IF = JobKind(
    name="what_if",
    function=what_if,
    serializer=WhatIfParameters,
    unit="rows",
    access=REPLAY,
    account_parameter="account",
    most_unfinished=20,
    at_once=1,
    attempts=3,
    is_result_large=True,
)


class WhatIfViewSet(TradingWrites, SubmissionViewSet):
    """What other limits would have done."""

    access = {"create": WHAT_IF.access}
    kind = WHAT_IF.name

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        return WhatIfInput

    @extend_schema(
        operation_id="risk_what_if",
        summary="Replay an account under other limits",
        parameters=[IDEMPOTENCY_KEY, PREFER],
        request=WhatIfInput,
        responses={202: JobSerializer},
        examples=[
            OpenApiExample("Smaller positions", value=_EXAMPLE, request_only=True),
            OpenApiExample("The job", value=JOB, response_only=True, status_codes=["202"]),
        ],
    )
    def create(self, request: Request) -> Response:
        """Queue a job that does the account's inputs again with some limits changed. Nothing changes.

        Its result has the orders that would have been refused, with the checks, the trades that would be missing, the
        fills that differ, and what the equity would have been. Orders that were refused then are not known.
        """
        return self.submit(request)

    def parameters(self, request: Request) -> Document:
        """Return the job's parameters: the body's, with the account that the caller may see."""
        values = self.body(WhatIfInput)
        account = account_find(caller=self.caller, name=values.get("account"))
        whole_config(state_of(account).config, values["config"])
        return {**values, "account": account.name}
