"""The declared form of what is sent and answered: the schema's and the browsable form's source.

A batch normally goes through the typed decoder; these serializers accept and refuse exactly the same, and say
why.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, cast

import msgspec
import numpy as np
from rest_framework import serializers

from http_requests.known_fields import KnownFieldsSerializer
from refusals.field_error import ERRORS_LIMIT
from store.declarations import Dataset, Form, Kind
from store.row_rules import Rule
from store.timestamps import InvalidTimestamp, invalid_timestamps, parse_timestamp
from trades.batches.fields import SymbolField, TimestampField, field_of
from trades.batches.row_batch import (
    LARGEST_NUMBER,
    ROWS_LIMIT,
    Expected,
    check_dates,
    check_query_column,
    check_size,
    is_plain,
    is_symbol,
    one_symbol,
)
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.typed_rows import row_type
from trades.exceptions import BatchRefused


class RowListSerializer(serializers.ListSerializer[Any]):
    """Rows; names the fields of as many wrong rows as hold a hundred errors, and looks no further."""

    def to_internal_value(self, data: Any) -> Any:
        child = cast("RowSerializer", self.child)
        if not isinstance(data, list):
            raise serializers.ValidationError(f"must be a list of {child.dataset.name}", code="invalid_type")
        wrong_times = set(_wrong_times(data))
        is_typed = _quick_look(child.dataset, self.context)
        errors: dict[int, Any] = {}
        count = 0
        for place, row in enumerate(data):
            if place not in wrong_times and is_typed(row):
                continue
            try:
                self.run_child_validation(row)
            except serializers.ValidationError as error:
                errors[place] = error.detail
                count += len(error.detail)
            if count >= ERRORS_LIMIT:
                break
        if errors:
            raise serializers.ValidationError(cast("Any", errors))
        return data


class RowSerializer(KnownFieldsSerializer):
    """One row of a dataset.

    The context's `given` names the fields that the query gives and a row may lack.
    """

    dataset: Dataset

    class Meta:
        list_serializer_class = RowListSerializer

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in self.context.get("given", ()):
            fields[name].required = False
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = {**self.context.get("given", {}), **attrs}
        for rule in self.dataset.rules:
            if _breaks(rule, self.dataset, row):
                raise serializers.ValidationError(rule.message, code=rule.code)
        return attrs


class BatchSerializer(KnownFieldsSerializer):
    """A batch of rows of one symbol, stored whole or not at all."""

    dataset: Dataset

    def get_initial(self) -> Any:
        """What the browsable form begins with."""
        return {self.dataset.name: SAMPLE_ROWS[self.dataset.name]}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        rows, name = attrs[self.dataset.name], self.dataset.name
        given, canonical = self.context.get("given", {}), self.context.get("canonical", str)
        expected = Expected(self.dataset, given=given, canonical=canonical)
        try:
            check_size(len(rows), name)
            one_symbol(expected, {row["symbol"] for row in rows if "symbol" in row})
            times = [TimestampField().to_internal_value(row[self.dataset.columns[0].name]) for row in rows]
            check_dates(np.array(times))
            check_query_column(expected, _said(self.dataset, rows))
        except BatchRefused as error:
            raise serializers.ValidationError(str(error), code=error.code) from error
        return attrs


@cache
def row_serializer(dataset: Dataset) -> type[RowSerializer]:
    """The serializer of one row, made from the dataset's declaration."""
    first, *others = dataset.columns
    symbol = SymbolField(help_text="The instrument; one symbol in a batch.")
    fields = {first.name: field_of(first), "symbol": symbol} | {c.name: field_of(c) for c in others}
    title = _title(dataset) + "Row"  # what is read back is another form, and has the plain names
    doc = f"One {dataset.row_name.replace('_', ' ')}."
    return type(f"{title}Serializer", (RowSerializer,), {"__doc__": doc, "dataset": dataset, **fields})


@cache
def batch_serializer(dataset: Dataset) -> type[BatchSerializer]:
    """The serializer of a document that holds a batch."""
    what = dataset.name.replace("_", " ")
    rows = row_serializer(dataset)(many=True, help_text=f"1 to {ROWS_LIMIT:,} {what} of one symbol.")
    doc = f"A batch of {what} of one symbol, stored whole or not at all."
    return type(
        f"{_title(dataset)}BatchSerializer",
        (BatchSerializer,),
        {"__doc__": doc, "dataset": dataset, dataset.name: rows},
    )


class IngestAnswerSerializer(serializers.Serializer[Any]):
    """What became of a batch."""

    symbol = serializers.CharField()
    received = serializers.IntegerField(source="receipt.received", help_text="Rows in the batch.")
    stored = serializers.IntegerField(source="receipt.stored", help_text="Rows that were not stored before.")
    duplicates = serializers.IntegerField(source="receipt.duplicates", help_text="Rows that were.")
    duplicate_rows = serializers.ListField(
        source="receipt.duplicate_rows",
        child=serializers.IntegerField(),
        help_text="Their places in the batch, at most 100.",
    )
    commit = serializers.IntegerField(
        source="receipt.commit.number",
        help_text="The number of the log's newest commit, with these rows in it.",
    )


def _wrong_times(rows: list[Any]) -> list[int]:
    """The places of rows whose timestamp is a text that is not a time."""
    places = [
        place
        for place, row in enumerate(rows)
        if isinstance(row, dict) and isinstance(row.get("timestamp"), str)
    ]
    return [
        places[at] for at in invalid_timestamps([rows[p]["timestamp"] for p in places], limit=ERRORS_LIMIT)
    ]


def _quick_look(dataset: Dataset, context: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Whether a row is surely right, if its timestamp is one. The fields have the last word."""
    given: Mapping[str, Any] = context.get("given", {})
    type_of_row: Any = row_type(dataset, given=frozenset(given))
    names = set(type_of_row.__struct_fields__)
    looked_at = [c for c in dataset.columns[1:] if c.kind is Kind.TIME or c.form is Form.WORDS]
    words = [c.name for c in dataset.columns if c.kind is Kind.TEXT and c not in looked_at]
    is_known_symbol = cache(is_symbol)

    def is_typed(row: Any) -> bool:
        if context.get("ignore_unknown") and isinstance(row, dict):
            row = {name: value for name, value in row.items() if name in names}
        try:
            typed = msgspec.convert(row, type_of_row)
        except msgspec.ValidationError:
            return False
        values = (getattr(typed, name) for name in words)
        return (
            (typed.symbol is msgspec.UNSET or is_known_symbol(typed.symbol))
            and not any(isinstance(value, int) and abs(value) > LARGEST_NUMBER for value in row.values())
            and not any(getattr(typed, column.name) not in (None, msgspec.UNSET, []) for column in looked_at)
            and all(is_plain(value) for value in values if isinstance(value, str))
            and not any(_breaks(rule, dataset, {**given, **row}) for rule in dataset.rules)
        )

    return is_typed


def _breaks(rule: Rule, dataset: Dataset, row: Mapping[str, Any]) -> bool:
    """Whether a row of right values, parsed or as they were sent, breaks a rule."""

    def value(name: str) -> Any:
        column, found = dataset.column(name), row.get(name)
        if found is None:
            return math.nan if column.kind is Kind.NUMBER else None
        if column.kind is Kind.TIME and isinstance(found, str):
            return _instant(found)
        return dict(column.aliases).get(found, found)

    values = [value(name) for name in rule.columns]
    return bool(rule.is_broken(*values))


def _instant(text: str) -> int:
    """The instant in a text, or 0 if it is none, which is found elsewhere."""
    try:
        return parse_timestamp(text)
    except InvalidTimestamp:
        return 0


def _said(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The spellings of the column that the query may give, one for all that mean it."""
    name = dataset.query_column
    if name is None:
        return {}
    aliases = dict(dataset.column(name).aliases)
    return {name: [aliases.get(row[name], row[name]) for row in rows if name in row]}


def _title(dataset: Dataset) -> str:
    return dataset.row_name.title().replace("_", "")
