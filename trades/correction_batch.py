"""Reads batches of cancels and corrections of trades."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from rest_framework import serializers

from http_requests.exceptions import ERRORS_LIMIT
from http_requests.field_errors import IndexedListSerializer, KnownFieldsSerializer, field_errors
from http_requests.json_document import read_json
from http_requests.work import WorkKind, count_work
from store.datasets import TRADES
from store.protocol import Action, Correction
from trades.batches.refusals import refusal_of
from trades.batches.row_batch import BatchOptions, check_dates
from trades.batches.serializers import ColumnField, SymbolField
from trades.exceptions import BatchRefused

CORRECTIONS_LIMIT = 10_000
_CORRECTION_BYTES = 1_000
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

_NEW_FIELDS = {
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

    @property
    def nbytes(self) -> int:
        """About how many bytes of memory they take."""
        return _CORRECTION_BYTES * len(self.corrections)


class CorrectionListSerializer(IndexedListSerializer):
    """A list of corrections."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError("must be a list of corrections", code="invalid_type")
        _check_size(len(data))
        count_work(WorkKind.CORRECTIONS, len(data))
        return super().to_internal_value(data)


def _field(column: str, help_text: str, *, required: bool = False, **changes: Any) -> ColumnField:
    """Return a field for values of a trade's column."""
    return ColumnField(replace(TRADES.column(column), required=required, help=help_text, **changes))


_ACTIONS = [action.value for action in Action]


class CorrectionSerializer(KnownFieldsSerializer):
    """Cancels or corrects one stored trade, identified by `trade_id` or by `price` and `volume`."""

    action = serializers.ChoiceField(
        choices=list(_ACTIONS),
        error_messages={"invalid_choice": f"must be one of {', '.join(_ACTIONS)}"},
        help_text="`cancel` removes the trade, `correct` changes its values.",
    )
    timestamp = _field("timestamp", "The event time of the trade, to the nanosecond.", required=True)
    trade_id = _field("trade_id", "The trade's id.")
    exchange = _field("exchange", "The trade's exchange.")
    price = _field("price", "The trade's current price.", lower_bound=None)
    volume = _field("volume", "The trade's current volume.", lower_bound=None)
    new_price = _field("price", "The corrected price.")
    new_volume = _field("volume", "The corrected volume.")
    new_conditions = _field("conditions", "The corrected sale conditions; `[]` for none.")
    new_sequence = _field("sequence", "The corrected order among trades of the same time.")

    class Meta:
        list_serializer_class = CorrectionListSerializer

    default_error_messages = {
        "target_required": "names no trade: give trade_id, or price and volume",
        "new_value_required": "a correct has at least one of new_price, new_volume, new_conditions, new_sequence",
        "new_value_forbidden": "a cancel has no new values",
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        values = {name: value for name, value in attrs.items() if value is not None}
        if "trade_id" not in values and not {"price", "volume"} <= set(values):
            self.fail("target_required")
        new_fields = [name for name in _NEW_FIELDS.values() if name in values]
        if values["action"] == Action.CANCEL and new_fields:
            message = self.error_messages["new_value_forbidden"]
            raise serializers.ValidationError(dict.fromkeys(new_fields, message), code="new_value_forbidden")
        if values["action"] == Action.CORRECT and not new_fields:
            self.fail("new_value_required")
        return values


class CorrectionBatchSerializer(KnownFieldsSerializer):
    """A batch of corrections of one symbol, applied whole or not at all."""

    symbol = SymbolField(help_text="The instrument.")
    corrections = CorrectionSerializer(many=True, help_text=f"1 to {CORRECTIONS_LIMIT:,} corrections.")

    def get_initial(self) -> Any:
        """Return the initial content of the browsable form."""
        return {"symbol": "AAPL", "corrections": SEED_CORRECTIONS}


def read_corrections(body: bytes, options: BatchOptions) -> CorrectionBatch:
    """Parse a JSON body. Raises `MalformedDocument`, or `BatchRefused` with the wrong fields."""
    document: Any = read_json(body)
    symbol = document.get("symbol") if isinstance(document, dict) else None

    def allows_nonpositive() -> bool:
        return options.allows_nonpositive([symbol])

    serializer = CorrectionBatchSerializer(
        data=document, context={"allows_nonpositive_price": allows_nonpositive}
    )
    if not serializer.is_valid():
        raise refusal_of(list(islice(field_errors(serializer.errors), ERRORS_LIMIT)))
    values = serializer.validated_data
    corrections = tuple(map(_correction, values["corrections"]))
    check_dates(np.array([correction.timestamp_ns for correction in corrections]))
    return CorrectionBatch(options.canonical(values["symbol"]), corrections)


def _check_size(count: int) -> None:
    if not count:
        raise BatchRefused("empty_batch", "the list of corrections is empty")
    if count > CORRECTIONS_LIMIT:
        raise BatchRefused(
            "too_many_rows", f"a batch has at most {CORRECTIONS_LIMIT:,} corrections; this one has {count:,}"
        )


def _correction(values: Mapping[str, Any]) -> Correction:
    return Correction(
        action=Action(values["action"]),
        timestamp_ns=values["timestamp"],
        trade_id=values.get("trade_id"),
        exchange=values.get("exchange"),
        price=values.get("price"),
        volume=values.get("volume"),
        new={
            # An empty list of conditions is stored as null.
            column: (values[name] or None) if column == "conditions" else values[name]
            for column, name in _NEW_FIELDS.items()
            if name in values
        },
    )
