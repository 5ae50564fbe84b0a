"""Services of models: named target weights of an account."""

import re
from collections.abc import Mapping
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from trading.exceptions import ModelInUse, NoModel, UnknownModel
from trading.journal import state_of
from trading.lease import engine_status
from trading.models import Account, TargetModel

MODEL_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def models_of(account: Account) -> QuerySet[TargetModel]:
    """Return the models of an account by name, as a query."""
    return TargetModel.objects.filter(account=account).order_by("name")


def model_find(*, account: Account, name: str) -> TargetModel:
    """Return a model of an account. Raises UnknownModel."""
    model = models_of(account).filter(name=name).first() if MODEL_NAME.fullmatch(name) else None
    if model is None:
        raise UnknownModel(name)
    return model


def model_assigned(account: Account) -> TargetModel:
    """Return the model that is assigned to an account. Raises NoModel."""
    name = state_of(account).preferences.model
    if name is None:
        raise NoModel('no model is assigned to the account: PATCH it with {"model": …}')
    return model_find(account=account, name=name)


def model_set(*, account: Account, name: str, weights: Mapping[str, Decimal]) -> TargetModel:
    """Store a model's weights, and return it. weights: by canonical symbol, above 0, together at most 1."""
    texts = {symbol: str(weight) for symbol, weight in sorted(weights.items())}
    values = {"weights": texts, "changed_ns": engine_status().now_ns}
    return TargetModel.objects.update_or_create(account=account, name=name, defaults=values)[0]


def model_delete(*, account: Account, name: str) -> None:
    """Delete a model that is not assigned. Positions that it opened stay. Raises UnknownModel, ModelInUse."""
    with transaction.atomic():
        locked = Account.objects.select_for_update().get(pk=account.pk)
        model = model_find(account=account, name=name)
        if state_of(locked).preferences.model == name:
            raise ModelInUse("the model is assigned to the account; assign another one, or null")
        model.delete()
