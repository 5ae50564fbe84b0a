"""Models: the endpoints of named target weights."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, ClassVar, cast

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from trades.batches.serializers import SymbolField
from trades.instruments.services import symbol_canonical
from trading.api.access import ACCOUNT_CHANGE, ACCOUNT_PAGE, ACCOUNT_READ
from trading.api.account_inputs import known_symbol
from trading.api.account_view import ACCOUNT, AccountView, Done, account_answer
from trading.api.accounts import NamedPagination
from trading.core.amounts import ONE, ZERO
from trading.documents.rebalances import ModelDocument
from trading.models import TargetModel
from trading.services.target_models import (
    MODEL_NAME,
    model_delete,
    model_find,
    model_set,
    model_tag,
    models_of,
)
from web.lists.views import ListViewSet
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Amount

_MOST_SYMBOLS = 200
_WEIGHT_DECIMALS = 9
_MODEL_ID = OpenApiParameter(
    "model",
    {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["core"]},
    OpenApiParameter.PATH,
    description="The model's name: 1-64 of A-Z a-z 0-9 _ . : -",
)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "examples": ['"model-3-1"']},
    OpenApiParameter.HEADER,
    description="The ETag of the model, or `*`; needed if the model is there.",
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


class ModelInput(KnownFieldsSerializer):
    """Target weights. `validated_data["weights"]` has them by canonical symbol."""

    examples: ClassVar = {"Weights": {"weights": [{"symbol": "AAPL", "weight": 0.6}]}}

    weights = WeightInput(many=True, help_text="1-200 symbols, together at most 1. The rest stays cash.")

    def validate_weights(self, rows: Sequence[dict[str, Any]]) -> dict[str, Decimal]:
        """Refuse none, too many, a symbol that is there twice, and weights of more than 1 in all."""
        if not rows:
            raise serializers.ValidationError("needs at least one symbol", code="empty")
        if len(rows) > _MOST_SYMBOLS:
            raise serializers.ValidationError(f"has at most {_MOST_SYMBOLS} symbols", code="too_many")
        weights: dict[str, Decimal] = {}
        for row in rows:
            symbol = symbol_canonical(row["symbol"])
            if symbol in weights:
                raise serializers.ValidationError(f"has {symbol} twice", code="repeated")
            weights[symbol] = row["weight"]
        if sum(weights.values(), ZERO) > 1:
            raise serializers.ValidationError("the weights must add up to at most 1", code="out_of_range")
        _check_known(weights)
        return weights


def _check_known(symbols: Iterable[str]) -> None:
    errors: dict[int, Any] = {}
    for index, symbol in enumerate(symbols):
        try:
            known_symbol(symbol)
        except serializers.ValidationError as error:
            errors[index] = {"symbol": error.detail}
    if errors:
        raise serializers.ValidationError(cast("Any", errors))


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
    parameters = {"update": [_IF_MATCH], "destroy": [_IF_MATCH]}
    queryset = TargetModel.objects.all()
    pagination_class = NamedPagination
    rows_name = "models"

    def get_object(self) -> TargetModel:
        """Return the model of a call. OPTIONS asks for it."""
        return model_find(account=self.account(), name=self.kwargs["model"])

    def list(self, request: Request) -> Response:
        """List models. The models of an account, by name."""
        account = self.account()
        models = self.paginate_queryset(models_of(account)) or []
        documents = [ModelDocument.of(account, each) for each in models]
        return account_answer(self.envelope(documents), account.number)

    def retrieve(self, request: Request, model: str) -> Response:
        """Get a model.

        A model, with its version as `ETag`, which changing and deleting it need as `If-Match`.
        """
        account = self.account()
        found = model_find(account=account, name=model)
        document = ModelDocument.of(account, found)
        return account_answer(document, account.number, headers={"ETag": model_tag(found)})

    def update(self, request: Request, model: str) -> Response:
        """Set a model.

        Make a model, or replace its weights. Nothing is traded until the account is rebalanced.
        """
        weights = self.body()["weights"]
        if not MODEL_NAME.fullmatch(model):
            raise field_refusal("name", "must be 1-64 of A-Z a-z 0-9 _ . : -", "invalid_format")
        account, _ = self.account_to_change()
        tags: dict[str, str] = {}

        def change() -> Done:
            stored = model_set(account=account, name=model, weights=weights, tag=self.if_match())
            tags["ETag"] = model_tag(stored)
            return Done(ModelDocument.of(account, stored), account.number)

        answer = self.change(change)
        answer.headers["ETag"] = tags["ETag"]
        return answer

    def destroy(self, request: Request, model: str) -> Response:
        """Delete a model. Delete a model that is not assigned. Positions that it opened stay."""
        account, _ = self.account_to_change()

        def delete() -> Done:
            model_delete(account=account, name=model, tag=self.if_match())
            return Done(None, account.number)

        return self.change(delete, status=HTTPStatus.NO_CONTENT)
