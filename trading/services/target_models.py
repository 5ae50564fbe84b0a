"""Services of models: named target weights of an account."""

import re
from collections.abc import Mapping
from decimal import Decimal

from django.db.models import QuerySet

from trading.exceptions import ModelInUse, ModelVersionChanged, PreconditionRequired, UnknownModel
from trading.journal import open_journal
from trading.lease import engine_status
from trading.models import Account, TargetModel
from web.requests.conditional import ANY_TAG

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


def model_tag(model: TargetModel) -> str:
    """Return the entity tag of a model's version. No later model of the same name has it."""
    return f'"model-{model.pk}-{model.version}"'


def model_set(*, account: Account, name: str, weights: Mapping[str, Decimal], tag: str | None) -> TargetModel:
    """Store a model's weights, and return it.

    weights: by canonical symbol, above 0, together at most 1. tag: of the version that the caller has read, or ANY_TAG;
    None for a new model. Raises ModelVersionChanged, PreconditionRequired.
    """
    texts = {symbol: str(weight) for symbol, weight in sorted(weights.items())}
    with open_journal(account.name):
        model = models_of(account).filter(name=name).first()
        if model is not None:
            _require_tag(model, tag)
        elif tag not in {None, ANY_TAG}:
            raise ModelVersionChanged("the model was deleted meanwhile")
        else:
            model = TargetModel(account=account, name=name, version=0)
        model.version, model.weights = model.version + 1, texts
        model.changed_ns = engine_status().now_ns
        model.save()
        return model


def model_delete(*, account: Account, name: str, tag: str | None) -> None:
    """Delete a model that is not assigned. Positions that it opened stay. tag: see `model_set`.

    Raises UnknownModel, ModelVersionChanged, PreconditionRequired, ModelInUse.
    """
    with open_journal(account.name) as journal:
        model = model_find(account=account, name=name)
        _require_tag(model, tag)
        if journal.state.preferences.model == name:
            raise ModelInUse("the model is assigned to the account; assign another one, or null")
        model.delete()


def _require_tag(model: TargetModel, tag: str | None) -> None:
    if tag is None:
        raise PreconditionRequired("there is such a model: send the ETag of GET /models/{name} in If-Match")
    if tag not in {ANY_TAG, model_tag(model)}:
        raise ModelVersionChanged(f"the model is at version {model.version}")
