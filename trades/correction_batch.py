"""Reads batches of cancels and corrections. Their fields come from the dataset's declaration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from drf_spectacular.drainage import set_override
from rest_framework import serializers

from store.datasets import TRADES
from store.declarations import ColumnForm, Dataset
from store.protocol import Action, Correction
from trades.batches.row_batch import BatchOptions, check_dates
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.serializers import ColumnField, SymbolField, refusal_of, title_of
from trades.exceptions import BatchRefused
from web.requests.exceptions import ERRORS_LIMIT
from web.requests.field_errors import IndexedListSerializer, KnownFieldsSerializer, field_errors
from web.requests.json_document import read_json
from web.requests.work import WorkKind, count_work

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


_ACTIONS = [action.value for action in Action]


class CorrectionSerializer(KnownFieldsSerializer):
    """Cancels or corrects one stored row."""

    action = serializers.ChoiceField(
        choices=list(_ACTIONS),
        error_messages={"invalid_choice": f"must be one of {', '.join(_ACTIONS)}"},
        help_text="`cancel` removes the row, `correct` changes its values.",
    )

    class Meta:
        list_serializer_class = CorrectionListSerializer

    default_error_messages = {
        "target_required": "names no trade: give trade_id, or price and volume",
        "new_value_required": "a correct has at least one of {fields}",
        "new_value_forbidden": "a cancel has no new values",
    }

    def __init__(self, *args: Any, dataset: Dataset, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dataset = dataset
        set_override(self, "component_name", f"{_title(dataset)}Correction")
        set_override(
            self, "description", f"Cancels or corrects one stored {dataset.row_name.replace('_', ' ')}."
        )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return super().get_fields() | _target_fields(self.dataset) | _new_fields(self.dataset)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        optional_ids = _optional_ids(self.dataset)
        values = {name: value for name, value in attrs.items() if value is not None or name in optional_ids}
        if self.dataset.id_columns[-1] not in values and not needed_names(self.dataset).issubset(values):
            self.fail("target_required")
        new_fields = [name for name in new_columns(self.dataset) if name in values]
        if values["action"] == Action.CANCEL and new_fields:
            message = self.error_messages["new_value_forbidden"]
            raise serializers.ValidationError(dict.fromkeys(new_fields, message), code="new_value_forbidden")
        if values["action"] == Action.CORRECT and not new_fields:
            self.fail("new_value_required", fields=", ".join(new_columns(self.dataset)))
        return values


class CorrectionBatchSerializer(KnownFieldsSerializer):
    """A batch of corrections of one symbol, applied whole or not at all."""

    symbol = SymbolField(help_text="The instrument.")

    def __init__(self, *args: Any, dataset: Dataset, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dataset = dataset
        what = dataset.name.replace("_", " ")
        set_override(self, "component_name", f"{_title(dataset)}CorrectionBatch")
        set_override(
            self,
            "description",
            f"A batch of corrections of {what} of one symbol, applied whole or not at all.",
        )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        corrections = CorrectionSerializer(
            dataset=self.dataset, many=True, help_text=f"1 to {CORRECTIONS_LIMIT:,} corrections."
        )
        return super().get_fields() | {"corrections": corrections}

    def get_initial(self) -> Any:
        """Return the initial content of the browsable form."""
        return sample_corrections(self.dataset)


def needed_names(dataset: Dataset) -> set[str]:
    """Return the columns by which a correction names a row without an id of its own."""
    return {name for name in dataset.named_by if dataset.column(name).required}


def _optional_ids(dataset: Dataset) -> set[str]:
    """Return the columns that belong to every row's identity, but may be null: there a null names a row."""
    return {name for name in dataset.series_columns if not dataset.column(name).required}


def new_columns(dataset: Dataset) -> dict[str, str]:
    """Return the columns that may be corrected, by the field with the new value."""
    return {f"new_{name}": name for name in dataset.corrected}


def _title(dataset: Dataset) -> str:
    return "" if dataset is TRADES else title_of(dataset)


def _target_fields(dataset: Dataset) -> dict[str, ColumnField]:
    """Return the fields that name a row: by its id, or by the columns that are needed if its id is optional."""
    row, needed, optional_ids = (
        dataset.row_name.replace("_", " "),
        needed_names(dataset),
        _optional_ids(dataset),
    )
    fields = {"timestamp": _field(dataset, "timestamp", f"The `timestamp` of the {row}, to the nanosecond.")}
    for name in dataset.named_by:
        null = " `null` names one without it." if name in optional_ids else ""
        required = dataset.has_complete_ids and name in needed
        text = f"The current `{name}` of the {row}.{null}"
        fields[name] = _field(dataset, name, text, lower_bound=None, later=False, required=required)
    return fields


def _new_fields(dataset: Dataset) -> dict[str, ColumnField]:
    """Return the fields with new values."""
    return {
        new_name: _field(
            dataset,
            name,
            f"The corrected `{name}`" + ("; `[]` for none." if _is_words(dataset, name) else "."),
            required=False,
        )
        for new_name, name in new_columns(dataset).items()
    }


def _field(dataset: Dataset, column: str, help_text: str, **changes: Any) -> ColumnField:
    return ColumnField(replace(dataset.column(column), help=help_text, **changes))


def sample_corrections(dataset: Dataset) -> dict[str, Any]:
    """Return a batch for the schema's example and the browsable form."""
    (row, *_) = SAMPLE_ROWS[dataset.name]
    names = ("timestamp", *(name for name in dataset.named_by if name in needed_names(dataset)))
    cancel = {"action": Action.CANCEL.value} | {name: row[name] for name in names}
    return {
        "symbol": row["symbol"],
        "corrections": SEED_CORRECTIONS if dataset is TRADES else [cancel],
    }


def read_corrections(body: bytes, options: BatchOptions) -> CorrectionBatch:
    """Parse a JSON body. Raises `MalformedDocument`, or `BatchRefused` with the wrong fields."""
    document: Any = read_json(body)
    symbol = document.get("symbol") if isinstance(document, dict) else None

    def allows_nonpositive() -> bool:
        return options.allows_nonpositive([symbol])

    serializer = CorrectionBatchSerializer(
        dataset=options.dataset, data=document, context={"allows_nonpositive_price": allows_nonpositive}
    )
    if not serializer.is_valid():
        raise refusal_of(list(islice(field_errors(serializer.errors), ERRORS_LIMIT)))
    values = serializer.validated_data
    corrections = tuple(_correction(options.dataset, each) for each in values["corrections"])
    check_dates(np.array([correction.timestamp_ns for correction in corrections]))
    return CorrectionBatch(options.canonical(values["symbol"]), corrections)


def _check_size(count: int) -> None:
    if not count:
        raise BatchRefused("empty_batch", "the list of corrections is empty")
    if count > CORRECTIONS_LIMIT:
        raise BatchRefused(
            "too_many_rows", f"a batch has at most {CORRECTIONS_LIMIT:,} corrections; this one has {count:,}"
        )


def _correction(dataset: Dataset, values: Mapping[str, Any]) -> Correction:
    return Correction(
        action=Action(values["action"]),
        timestamp_ns=values["timestamp"],
        named={name: values[name] for name in dataset.named_by if name in values},
        new={
            # An empty list of words is stored as null.
            name: (values[new_name] or None) if _is_words(dataset, name) else values[new_name]
            for new_name, name in new_columns(dataset).items()
            if new_name in values
        },
    )


def _is_words(dataset: Dataset, column: str) -> bool:
    return dataset.column(column).form is ColumnForm.WORDS
