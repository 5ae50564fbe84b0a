"""The declared form of a body of corrections, and how it is read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

import numpy as np
from rest_framework import serializers

from http_requests.exceptions import ERRORS_LIMIT
from http_requests.field_errors import KnownFieldsSerializer, field_errors
from http_requests.json_document import read_json
from store.datasets import TRADES
from store.protocol import Action, Correction
from store.symbols import parse_symbol
from trades.batches.fields import ColumnField, SymbolField
from trades.batches.refusals import refused
from trades.batches.row_batch import check_dates, is_symbol
from trades.batches.serializers import IngestAnswerSerializer
from trades.exceptions import BatchRefused

CORRECTIONS_LIMIT = 10_000
SEED_CORRECTIONS = [
    {"action": "cancel", "timestamp": "2025-01-02T14:30:12.500Z", "price": 190.02, "volume": 250},
    {
        "action": "correct",
        "timestamp": "2025-01-02T14:31:05.250Z",
        "price": 190.1,
        "volume": 75,
        "new_price": 190.01,
    },
]

# The field that brings a new value, by the column that it is for.
_NEW = {
    "price": "new_price",
    "volume": "new_volume",
    "conditions": "new_conditions",
    "sequence": "new_sequence",
}


@dataclass(frozen=True, slots=True)
class CorrectionBatch:
    """Checked corrections of one symbol, in the body's order."""

    symbol: str
    corrections: tuple[Correction, ...]


class CorrectionListSerializer(serializers.ListSerializer[Any]):
    """Corrections; names the fields of as many wrong ones as hold a hundred errors, and looks no further."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError("must be a list of corrections", code="invalid_type")
        _check_size(len(data))
        values: list[Any] = []
        errors: dict[int, Any] = {}
        for place, each in enumerate(data):
            try:
                values.append(self.run_child_validation(each))
            except serializers.ValidationError as error:
                errors[place] = error.detail
            if len(errors) >= ERRORS_LIMIT:
                break
        if errors:
            raise serializers.ValidationError(cast("Any", errors))
        return values


def _field(column: str, help_text: str, *, required: bool = False, **changes: Any) -> ColumnField:
    """What takes a value of a trade's column."""
    return ColumnField(replace(TRADES.column(column), required=required, help=help_text, **changes))


class CorrectionSerializer(KnownFieldsSerializer):
    """A cancel or a correction of one stored trade, which `trade_id`, or `price` and `volume`, identify."""

    action = serializers.ChoiceField(
        choices=[action.value for action in Action],
        help_text="`cancel` takes the trade away, `correct` gives it the new values.",
    )
    timestamp = _field("timestamp", "The event time of the trade, to the nanosecond.", required=True)
    trade_id = _field("trade_id", "The trade's id.")
    exchange = _field("exchange", "Where it was traded.")
    price = _field("price", "Its price, as it stands now.", lower_bound=None)
    volume = _field("volume", "Its volume, as it stands now.", lower_bound=None)
    new_price = _field("price", "The price from now on.")
    new_volume = _field("volume", "The volume from now on.")
    new_conditions = _field("conditions", "The sale conditions from now on; `[]` for none.")
    new_sequence = _field("sequence", "The order within the instant from now on.")

    class Meta:
        list_serializer_class = CorrectionListSerializer

    default_error_messages = {
        "target_required": "names no trade: give trade_id, or price and volume",
        "new_value_required": "a correct has at least one of new_price, new_volume, new_conditions, new_sequence",
        "new_value_forbidden": "a cancel has no new values",
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in attrs.items() if value is not None}
        if "trade_id" not in given and not {"price", "volume"} <= set(given):
            self.fail("target_required")
        new = [name for name in _NEW.values() if name in given]
        if given["action"] == Action.CANCEL and new:
            message = self.error_messages["new_value_forbidden"]
            raise serializers.ValidationError(dict.fromkeys(new, message), code="new_value_forbidden")
        if given["action"] == Action.CORRECT and not new:
            self.fail("new_value_required")
        return given


class CorrectionBatchSerializer(KnownFieldsSerializer):
    """A batch of corrections of one symbol, applied whole or not at all."""

    symbol = SymbolField(help_text="The instrument.")
    corrections = CorrectionSerializer(many=True, help_text=f"1 to {CORRECTIONS_LIMIT:,} corrections.")

    def get_initial(self) -> Any:
        """What the browsable form begins with."""
        return {"symbol": "AAPL", "corrections": SEED_CORRECTIONS}


class CorrectionAnswerSerializer(IngestAnswerSerializer):
    """What became of a batch of corrections."""

    received = serializers.IntegerField(source="receipt.received", help_text="Corrections in the batch.")
    stored = serializers.IntegerField(source="receipt.stored", help_text="Those that were applied now.")
    duplicates = serializers.IntegerField(
        source="receipt.duplicates", help_text="Those that had been applied before."
    )


def read_corrections(
    body: bytes,
    *,
    canonical: Callable[[str], str] = str,
    takes_any_price: Callable[[str], bool] = lambda _: False,
) -> CorrectionBatch:
    """The batch in a JSON body. Raises `MalformedDocument`, and `BatchRefused`, which names the wrong fields.

    canonical: the symbol that a symbol stands for. takes_any_price: whether a symbol's prices may be zero or
    less.
    """
    document: Any = read_json(body)
    symbol = str(document.get("symbol")) if isinstance(document, dict) else ""
    context = {
        "takes_any_price": lambda: is_symbol(symbol) and takes_any_price(canonical(parse_symbol(symbol)))
    }
    serializer = CorrectionBatchSerializer(data=document, context=context)
    if not serializer.is_valid():
        raise refused(list(islice(field_errors(serializer.errors), ERRORS_LIMIT)))
    given = serializer.validated_data
    corrections = tuple(_correction(each) for each in given["corrections"])
    check_dates(np.array([correction.timestamp_ns for correction in corrections]))
    return CorrectionBatch(canonical(given["symbol"]), corrections)


def _check_size(count: int) -> None:
    if not count:
        raise BatchRefused("empty_batch", "the list of corrections is empty")
    if count > CORRECTIONS_LIMIT:
        raise BatchRefused(
            "too_many_rows", f"a batch has at most {CORRECTIONS_LIMIT:,} corrections; this one has {count:,}"
        )


def _correction(given: Mapping[str, Any]) -> Correction:
    return Correction(
        action=Action(given["action"]),
        timestamp_ns=given["timestamp"],
        trade_id=given.get("trade_id"),
        exchange=given.get("exchange"),
        price=given.get("price"),
        volume=given.get("volume"),
        new=dict(_new_values(given)),
    )


def _new_values(given: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The new values by column, as the store keeps them."""
    for column, name in _NEW.items():
        if name not in given:
            continue
        yield column, (given[name] or None) if column == "conditions" else given[name]
