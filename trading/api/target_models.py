"""Models: the endpoints of named target weights."""

from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any, ClassVar

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from trades.batches.serializers import SymbolField
from trading.api.access import ACCOUNT_CHANGE, ACCOUNT_PAGE, ACCOUNT_READ
from trading.api.account_inputs import known_symbol
from trading.api.account_view import ACCOUNT, AccountView, Done, account_answer
from trading.api.accounts import NamedPagination
from trading.core.amounts import ONE, ZERO
from trading.documents.rebalances import ModelDocument
from trading.models import TargetModel
from trading.services.target_models import MODEL_NAME, model_delete, model_find, model_set, models_of
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
