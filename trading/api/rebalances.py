"""Rebalances: the job that brings an account to its model's weights, and its endpoint."""

import time
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from drf_spectacular.utils import OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.exceptions import JobCancelled
from jobs.kinds import JobKind, Run
from jobs.serializers import JobSerializer, ResultField, SubmissionSerializer
from jobs.views import SubmissionViewSet
from trading.api.access import ACCOUNT_CHANGE
from trading.api.account_inputs import MOST_MONEY
from trading.api.account_view import SUBMITTER_REFUSED, AccountView, Done, require_submitter
from trading.core.amounts import HUNDRED
from trading.core.rebalance import RebalanceOptions
from trading.documents.rebalances import RebalancePlanDocument, RebalanceResultDocument
from trading.journal import state_of
from trading.lease import require_engine
from trading.models import Account
from trading.reading.rebalances import plan_document, result_document
from trading.services.rebalancing import (
    Rebalancing,
    StartedRebalance,
    model_assigned,
    rebalance_begin,
    rebalance_plan,
    require_trading,
)
from trading.services.target_models import model_find
from web.requests.json_fields import Amount, Flag, Integer, JsonObject, Text, json_values

_LOOK_SECONDS = 0.5
_LONGEST_SECONDS, _USUAL_SECONDS = 3_600, 300


class RebalanceTerms(SubmissionSerializer):
    """How an account is rebalanced. A job's parameters are JSON values, so that amounts become numbers again."""

    drift_band = Amount(
        low=Decimal(0),
        high=HUNDRED,
        default=0,
        help_text="Per cent points: a symbol whose weight is off by no more is left alone.",
    )
    minimum_trade = Amount(
        low=Decimal(0),
        high=MOST_MONEY,
        default=0,
        help_text="Money: a symbol is left alone if less would be traded.",
    )
    cash_buffer = Amount(
        low=Decimal(0),
        high=HUNDRED,
        default=0,
        help_text="Per cent that purchases leave as cash: if the weights leave less, all are lowered alike.",
    )
    timeout_seconds = Integer(
        min_value=5,
        max_value=_LONGEST_SECONDS,
        default=_USUAL_SECONDS,
        help_text="After so long what is open is cancelled.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values as JSON values."""
        return json_values(attrs)


class RebalanceInput(RebalanceTerms):
    """The body of a call: a preview is answered at once, so a job has none."""

    examples: ClassVar = {
        "A preview": {"drift_band": 0.5, "preview": True},
        "With a buffer": {"cash_buffer": 1, "minimum_trade": 100},
    }

    preview = Flag(default=False, help_text="Whether to say only what would be done: 200, without a job.")


class RebalanceParameters(RebalanceTerms):
    """The parameters of a job that rebalances."""

    account = Text(max_length=64)
    model = Text(max_length=64)


def rebalance(run: Run) -> JsonObject:
    """Rebalance once, however often the job is started: the plan is kept, and each order has an id of its own.

    A cancel of the job cancels its orders, and so does the end of its submitter's right to trade, which is looked up
    before orders are placed and while they work. Raises UnknownModel, AccountNotValued, those of SUBMITTER_REFUSED.
    """

    def check() -> None:
        run.check()
        require_submitter(run, REBALANCE.access)

    account = Account.objects.get(name=run.parameters["account"])
    rebalancing = Rebalancing(account, run.uuid, _started(run, account), check)
    total = len(rebalancing.trades)
    try:
        while not rebalancing.step(time.time()):
            check()
            run.progress(rebalancing.done, total)
            time.sleep(_LOOK_SECONDS)
    except (JobCancelled, *SUBMITTER_REFUSED):
        rebalancing.refresh()
        rebalancing.cancel()
        raise
    run.progress(total, total)
    return result_document(rebalancing).as_json()


def _started(run: Run, account: Account) -> StartedRebalance:
    """Return the rebalance as an earlier attempt has begun it; else begin, and note it before the first order."""
    if run.note:
        return msgspec.convert(run.note, StartedRebalance)
    model = model_find(account=account, name=run.parameters["model"])
    until_seconds = time.time() + run.parameters["timeout_seconds"]
    options = _options(run.parameters)
    begun = rebalance_begin(account=account, model=model, options=options, until_seconds=until_seconds)
    run.leave(msgspec.to_builtins(begun))
    return begun


def _options(values: JsonObject) -> RebalanceOptions:
    names = RebalanceOptions.__struct_fields__
    return RebalanceOptions(**{name: Decimal(repr(values[name])) for name in names})


REBALANCE = JobKind(
    name="rebalance",
    function=rebalance,
    serializer=RebalanceParameters,
    unit="trades",
    access=ACCOUNT_CHANGE,
    account_parameter="account",
    turn=lambda parameters: f"rebalance:{parameters['account']}",
    # Each waits for the market, and takes one of the installation's JOB_THREADS.
    at_once=4,
    is_result_large=True,
    is_schedulable=True,
)


class RebalanceJobSerializer(JobSerializer):
    """A rebalance's job."""

    result = ResultField(RebalanceResultDocument)


class RebalancesViewSet(AccountView, SubmissionViewSet):
    """Accounts that are brought to the weights of their model."""

    verbs = {"create": ""}
    bodies = {"create": RebalanceInput}
    answers = {
        "create": {
            200: OpenApiResponse(RebalancePlanDocument, description="The plan, with `preview`."),
            202: RebalanceJobSerializer,
        }
    }
    access = {"create": REBALANCE.access}
    kind = REBALANCE.name

    def create(self, request: Request, account: str) -> Response:
        """Rebalance an account.

        Queue a job that brings the positions of the account's model to its weights: sales first, then purchases.

        With `preview` it says what would be done, and does nothing. The body may be left out.
        """
        values = self.body(is_optional=True)
        if not values["preview"]:
            return self.submit(request)
        owned = self.account()
        model = model_assigned(owned)
        plan = rebalance_plan(
            account=owned, model=model.name, weights=model.target_weights, options=_options(values)
        )
        document = plan_document(owned, model.name, model.version, plan)
        return self.change(lambda: Done(document, owned.number))

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, the account of the path, and its model."""
        terms = {name: value for name, value in self.body(is_optional=True).items() if name != "preview"}
        account, _ = self.account_to_change()
        return {"account": account.name, "model": model_assigned(account).name, **terms}

    def require_possible(self, parameters: JsonObject) -> None:
        """Raise TradingStopped, TradingHalted, EngineUnavailable."""
        require_trading(state_of(Account.objects.get(name=parameters["account"])))
        require_engine()
