"""Rebalances: the models, the job that brings an account to its model's weights, and their endpoints."""

import time
from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

import msgspec
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.documents import JobDocument
from jobs.exceptions import ConfirmationNeeded, JobCancelled
from jobs.kinds import JobKind, Run
from jobs.serializers import SubmissionSerializer
from jobs.views import SubmissionViewSet
from trades.batches.serializers import SymbolField
from trading.api.account_inputs import MOST_MONEY, known_symbol
from trading.api.account_view import (
    ACCOUNT,
    ACCOUNT_CHANGE,
    ACCOUNT_PAGE,
    ACCOUNT_READ,
    SUBMITTER_REFUSED,
    AccountView,
    Done,
    account_answer,
    require_submitter,
)
from trading.api.accounts import NamedPagination
from trading.core.amounts import HUNDRED, ONE, ZERO
from trading.core.orders import Order
from trading.core.rebalance import PlannedTrade, RebalanceOptions, RebalancePlan
from trading.core.terms import Side
from trading.documents.orders import (
    ModelDocument,
    PlannedTradeDocument,
    RebalancedSymbolDocument,
    RebalancePlanDocument,
    RebalanceResultDocument,
)
from trading.journal import state_of
from trading.lease import require_engine
from trading.models import Account, TargetModel
from trading.services.rebalancing import (
    MODEL_NAME,
    RebalanceOrders,
    model_assigned,
    model_delete,
    model_find,
    model_set,
    models_of,
    rebalance_plan,
    require_trading,
)
from web.documents import about, number, number_or_null
from web.lists.views import ListViewSet
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Amount, Flag, Integer, JsonObject, Text, json_values

_MOST_SYMBOLS = 200
_WEIGHT_DECIMALS = 9
_MODEL_ID = OpenApiParameter(
    "model",
    {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["core"]},
    OpenApiParameter.PATH,
    description="The model's name: 1-64 of A-Z a-z 0-9 _ . : -",
)


class WeightInput(KnownFieldsSerializer):
    """The target weight of a symbol."""

    symbol = SymbolField(help_text="The instrument, by its symbol or an alias.")
    weight = Amount(
        low=ZERO,
        high=ONE,
        is_above=True,
        decimals=_WEIGHT_DECIMALS,
        help_text="A fraction: 0.05 is 5 per cent.",
    )

    def validate_symbol(self, symbol: str) -> str:
        """Return the canonical symbol. Refuse an unknown one."""
        return known_symbol(symbol)


class ModelInput(KnownFieldsSerializer):
    """Target weights. `validated_data["weights"]` has them by canonical symbol."""

    examples: ClassVar = {"Weights": {"weights": [{"symbol": "AAPL", "weight": 0.6}]}}

    weights: Any = serializers.ListSerializer(
        child=WeightInput(),
        min_length=1,
        max_length=_MOST_SYMBOLS,
        help_text="1-200 symbols, together at most 1. The rest stays cash.",
    )

    def validate_weights(self, rows: Sequence[dict[str, Any]]) -> dict[str, Decimal]:
        """Refuse a symbol that is there twice, and weights of more than 1 in all."""
        weights: dict[str, Decimal] = {}
        for row in rows:
            if row["symbol"] in weights:
                raise serializers.ValidationError(f"has {row['symbol']} twice", code="repeated")
            weights[row["symbol"]] = row["weight"]
        if sum(weights.values(), ZERO) > 1:
            raise serializers.ValidationError("the weights must add up to at most 1", code="out_of_range")
        return weights


class ModelsViewSet(AccountView, ListViewSet[TargetModel]):
    """Models of an account."""

    bodies = {"update": ModelInput}
    answers = {"list": ModelDocument, "retrieve": ModelDocument, "update": ModelDocument, "destroy": None}
    access = {
        "list": ACCOUNT_PAGE,
        "retrieve": ACCOUNT_READ,
        "update": ACCOUNT_CHANGE,
        "destroy": ACCOUNT_CHANGE,
    }
    common_parameters = (ACCOUNT, _MODEL_ID)
    queryset = TargetModel.objects.all()
    pagination_class = NamedPagination
    rows_name = "models"

    def get_object(self) -> TargetModel:
        """Return the model of a call. OPTIONS asks for it, too, and says the same of all names."""
        if self.action == "metadata":
            raise Http404
        return model_find(account=self.account(), name=self.kwargs["model"])

    def list(self, request: Request) -> Response:
        """List models. The models of an account, by name."""
        account = self.account()
        models = self.paginate_queryset(models_of(account)) or []
        documents = [ModelDocument.of(account, each) for each in models]
        return account_answer(self.envelope(documents), account.number)

    def retrieve(self, request: Request, model: str) -> Response:
        """Get a model. A model with its weights."""
        account = self.account()
        document = ModelDocument.of(account, model_find(account=account, name=model))
        return account_answer(document, account.number)

    def update(self, request: Request, model: str) -> Response:
        """Set a model.

        Create a model, or replace its weights. Nothing is traded until the account is rebalanced.
        """
        weights = self.body()["weights"]
        if not MODEL_NAME.fullmatch(model):
            raise field_refusal("name", "must be 1-64 of A-Z a-z 0-9 _ . : -", "invalid_format")
        account, _ = self.account_to_change()

        def change() -> Done:
            stored = model_set(account=account, name=model, weights=weights)
            return Done(ModelDocument.of(account, stored), account.number)

        return self.change(change)

    def destroy(self, request: Request, model: str) -> Response:
        """Delete a model. Delete a model that is not assigned. Positions that it opened stay."""
        account, _ = self.account_to_change()

        def delete() -> Done:
            model_delete(account=account, name=model)
            return Done(None, account.number)

        return self.change(delete, status=HTTPStatus.NO_CONTENT)


_LOOK_SECONDS = 0.5
# So long the end waits until orders are cancelled.
_CANCEL_SECONDS = 30
_LONGEST_SECONDS, _USUAL_SECONDS = 3_600, 300


class RebalanceInput(SubmissionSerializer):
    """How an account is rebalanced. A job's parameters are JSON values, so that amounts become numbers again."""

    examples: ClassVar = {
        "A preview": {"preview": True},
        "With a buffer": {"cash_buffer": 1, "minimum_trade": 100},
    }

    minimum_trade = Amount(
        low=Decimal(0),
        high=MOST_MONEY,
        default=0,
        help_text="Money: a symbol is left alone if less would be traded.",
    )
    cash_buffer = Amount(
        low=Decimal(0), high=HUNDRED, default=0, help_text="Per cent of `investable` that purchases leave."
    )
    timeout_seconds = Integer(
        min_value=5,
        max_value=_LONGEST_SECONDS,
        default=_USUAL_SECONDS,
        help_text="After so long what is open is cancelled.",
    )
    preview = Flag(default=False, help_text="Whether the job shows its plan and waits for a confirmation.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values as JSON values."""
        return json_values(attrs)


class RebalanceParameters(RebalanceInput):
    """The parameters of a job that rebalances."""

    account = Text(max_length=64)
    model = Text(max_length=64)


class BegunRebalance(msgspec.Struct, kw_only=True):
    """What another attempt needs to go on. purchases: None until the sales have ended.

    until_seconds: when it times out, since 1970.
    """

    plan: RebalancePlan
    until_seconds: float
    purchases: list[PlannedTrade] | None = None


def rebalance(run: Run) -> JsonObject:
    """Place the sales of a plan as a batch, and once they have ended the purchases as another.

    The plan is kept, and each order has an id of its own, so that each is placed once however often the job is started. A
    cancel of the job cancels its orders, and so does the end of its submitter's right to trade. Raises
    ConfirmationNeeded, UnknownModel, AccountNotValued, TradingStopped, TradingHalted, those of SUBMITTER_REFUSED.
    """
    return _Rebalance(run).carried_out()


class _Rebalance:
    """A rebalance that is carried out by a job."""

    def __init__(self, run: Run) -> None:
        self.run, parameters = run, run.parameters
        self.account = Account.objects.get(name=parameters["account"])
        self.model = model_find(account=self.account, name=parameters["model"])
        names = RebalanceOptions.__struct_fields__
        self.options = RebalanceOptions(**{name: Decimal(repr(parameters[name])) for name in names})
        self.orders = RebalanceOrders(self.account, self.model.name, run.uuid)

    def carried_out(self) -> JsonObject:
        require_submitter(self.run, REBALANCE.access)
        begun = self._begun()
        self.orders.place(begun.plan.of_side(Side.SELL))
        is_complete = self._has_ended(begun)
        if is_complete:
            if begun.purchases is None:
                begun.purchases = self._purchases(begun.plan)
                self.run.leave(msgspec.to_builtins(begun))
            self.orders.place(begun.purchases)
            is_complete = self._has_ended(begun)
        return self._result(begun, is_complete).as_json()

    def _begun(self) -> BegunRebalance:
        """Return the rebalance as an earlier attempt has begun it; else begin, and note it before the first order."""
        if self.run.note:
            return msgspec.convert(self.run.note, BegunRebalance)
        plan = self._plan()
        if self.run.parameters["preview"] and not self.run.is_confirmed:
            raise ConfirmationNeeded(self._preview(plan).as_json())
        require_trading(state_of(self.account))
        begun = BegunRebalance(plan=plan, until_seconds=time.time() + self.run.parameters["timeout_seconds"])
        self.run.leave(msgspec.to_builtins(begun))
        return begun

    def _preview(self, plan: RebalancePlan) -> RebalancePlanDocument:
        symbols = [PlannedTradeDocument.of(trade) for trade in plan.trades]
        return RebalancePlanDocument.of_attributes(plan, **self._names(), symbols=symbols)

    def _result(self, begun: BegunRebalance, is_complete: bool) -> RebalanceResultDocument:
        plan = begun.plan
        bought = plan.of_side(Side.BUY) if begun.purchases is None else begun.purchases
        trades = (*plan.of_side(Side.SELL), *bought, *plan.of_side(None))
        orders = self.orders.placed()
        return RebalanceResultDocument.of_attributes(
            plan,
            **self._names(),
            symbols=[_symbol(trade, self.orders, orders.get(trade.symbol)) for trade in trades],
            ended="complete" if is_complete else "timeout",
        )

    def _names(self) -> JsonObject:
        return {
            "account": self.account.name,
            "model": self.model.name,
            "currency": state_of(self.account).currency,
        }

    def _plan(self) -> RebalancePlan:
        return rebalance_plan(account=self.account, model=self.model, options=self.options)

    def _purchases(self, plan: RebalancePlan) -> list[PlannedTrade]:
        """Return the purchases of a plan, as the cash pays for them now. What had no order has none."""
        wanted = {trade.symbol for trade in plan.of_side(Side.BUY)}
        return [trade for trade in self._plan().trades if trade.symbol in wanted]

    def _has_ended(self, begun: BegunRebalance) -> bool:
        """Wait until all orders have ended. At the time limit cancel them, and return False."""
        total, is_late = sum(trade.side is not None for trade in begun.plan.trades), False
        try:
            while open_orders := self.orders.open_orders():
                self.run.progress(len(self.orders.items) - len(open_orders), total)
                require_submitter(self.run, REBALANCE.access)
                seconds_late = time.time() - begun.until_seconds
                if seconds_late >= _CANCEL_SECONDS:
                    return False
                if seconds_late >= 0:
                    is_late = True
                    self.orders.cancel()
                time.sleep(_LOOK_SECONDS)
        except (JobCancelled, *SUBMITTER_REFUSED):
            self.orders.cancel()
            raise
        return not is_late


def _symbol(trade: PlannedTrade, placed: RebalanceOrders, order: Order | None) -> RebalancedSymbolDocument:
    filled = ZERO if order is None else order.filled
    reason, message = trade.reason, trade.message
    if trade.side is not None and filled < trade.quantity:
        reason, message = placed.why_left(trade.symbol, order)
    return RebalancedSymbolDocument.of_attributes(
        trade,
        order_id=None if order is None else order.id,
        filled=number(filled),
        average_price=None if order is None else number_or_null(order.average_price),
        reason=reason or None,
        message=message or None,
    )


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


class RebalanceJobDocument(JobDocument, kw_only=True):
    """A rebalance's job."""

    result: Annotated[RebalanceResultDocument | None, about("null until the job has succeeded.")]
    preview: Annotated[RebalancePlanDocument | None, about("The plan that it asks to confirm, or asked.")]


class RebalancesViewSet(AccountView, SubmissionViewSet):
    """Accounts that are brought to the weights of their model."""

    verbs = {"create": ""}
    bodies = {"create": RebalanceInput}
    answers = {"create": {202: RebalanceJobDocument}}
    access = {"create": REBALANCE.access}
    kind = REBALANCE.name

    def create(self, request: Request, account: str) -> Response:
        """Rebalance an account.

        Queue a job that brings the positions of the account's model to its weights: first the sales, as one batch, then the
        purchases. With `preview` the job shows its plan and waits for a confirmation. The body may be left out.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the body's, the account of the path, and its model."""
        values = self.body(is_optional=True)
        account, _ = self.account_to_change()
        return {"account": account.name, "model": model_assigned(account).name, **values}

    def require_possible(self, parameters: JsonObject) -> None:
        """Raise TradingStopped, TradingHalted, EngineUnavailable. A plan can always be shown."""
        if not parameters["preview"]:
            require_trading(state_of(Account.objects.get(name=parameters["account"])))
            require_engine()
