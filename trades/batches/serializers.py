"""The serializers of batches. Their fields come from a dataset's declaration; OpenAPI and browsable forms have them too.

They validate the batches of all formats, as columns. No JSON type is coerced into another.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, cast

from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from store.datasets import DATASETS
from store.declarations import Column, Dataset
from trades.batches.json_columns import rows_of_objects
from trades.batches.row_batch import (
    ROWS_LIMIT,
    BatchOptions,
    JudgedRows,
    RowBatch,
    RowColumns,
    assemble_batch,
    check_size,
    rows_judge,
)
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.validation import SYMBOL, RowError, column_rule
from trades.batches.value_rules import NULL, REQUIRED, Fault
from trades.exceptions import BatchRefused
from web.requests.exceptions import ERRORS_LIMIT, FieldError
from web.requests.field_errors import MISSING, KnownFieldsSerializer, field_errors
from web.requests.nearest_name import LONGEST_SHOWN, nearest_name


class ColumnField(serializers.Field[Any, Any, Any, Any]):
    """A field for one column's value, which it converts to the column's type. A list of words becomes one text.

    Options default to the column's declaration. Prices have no lower bound if the context's
    `allows_nonpositive_price()` is true.
    """

    def __init__(self, column: Column, **options: Any) -> None:
        declared = {} if column.required else {"required": False, "allow_null": True}
        super().__init__(**{"help_text": column.help} | declared | options)
        self._rule = column_rule(column)
        for fault in (REQUIRED, NULL, *self._rule.faults):
            self.error_messages[fault.code] = fault.message
        schema = self._rule.schema
        if column.choices and self.allow_null:
            # drf-spectacular would make a plain enum a named component, and lose the null.
            schema = {"anyOf": [schema]}
        set_override(self, "field", schema)

    def to_internal_value(self, data: object) -> Any:
        found = self._rule.convert_and_check(data, self.context.get("allows_nonpositive_price", bool))
        if isinstance(found, Fault):
            raise serializers.ValidationError(found.message, code=found.code)
        return found


class SymbolField(ColumnField):
    """A symbol in any case; `/` becomes `-`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SYMBOL, **options)


class RowListSerializer(serializers.ListSerializer[Any]):
    """Rows, validated as columns; reports at most the first hundred wrong fields."""

    def to_internal_value(self, data: Any) -> JudgedRows:
        options = cast("BatchSerializer", self.parent).options
        if isinstance(data, list):
            data = rows_of_objects(data, options)
        elif not isinstance(data, RowColumns):
            raise serializers.ValidationError(
                f"must be a list of {options.dataset.name}", code="invalid_type"
            )
        rows = rows_judge(data, options)
        if rows.errors:
            raise serializers.ValidationError(cast("Any", _by_row(rows.errors)))
        return rows


class RowSerializer(KnownFieldsSerializer):
    """One row of a dataset."""

    def __init__(self, *args: Any, dataset: Dataset, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dataset = dataset
        # Without "Row" it is the name of the response's serializer.
        set_override(self, "component_name", f"{title_of(dataset)}Row")
        set_override(self, "description", f"One {dataset.row_name.replace('_', ' ')}.")

    class Meta:
        list_serializer_class = RowListSerializer

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        first, *others = self.dataset.columns
        symbol = SymbolField(help_text="The instrument; one symbol in a batch.")
        return {first.name: ColumnField(first), "symbol": symbol, **{c.name: ColumnField(c) for c in others}}


class BatchSerializer(KnownFieldsSerializer):
    """A batch of rows of one symbol, stored whole or not at all.

    data: a document of JSON's types, whose rows may be `RowColumns`; or `RowColumns` alone, of a format whose rows have no
    document around them. `validated_data` is a `RowBatch`. Context: `options` (`BatchOptions`).
    """

    def __init__(self, *args: Any, dataset: Dataset, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dataset = dataset
        what = dataset.name.replace("_", " ")
        set_override(self, "component_name", f"{title_of(dataset)}Batch")
        set_override(self, "description", f"A batch of {what} of one symbol, stored whole or not at all.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        what = self.dataset.name.replace("_", " ")
        rows = RowSerializer(
            dataset=self.dataset, many=True, help_text=f"1 to {ROWS_LIMIT:,} {what} of one symbol."
        )
        return {self.dataset.name: rows}

    @property
    def options(self) -> BatchOptions:
        """Return the options for reading the document."""
        ignore_unknown = bool(self.context.get("ignore_unknown"))
        return self.context.get("options") or BatchOptions(self.dataset, ignore_unknown)

    def get_initial(self) -> Any:
        """Return the initial content of the browsable form."""
        return {self.dataset.name: SAMPLE_ROWS[self.dataset.name]}

    def to_internal_value(self, data: Any) -> RowBatch:
        try:
            if isinstance(data, RowColumns):
                rows = self._of_columns(data)
            else:
                rows = super().to_internal_value(data)[self.dataset.name]
                check_size(rows.count, self.dataset.name)
            return assemble_batch(self.options, rows.columns, rows.symbols)
        except BatchRefused as error:
            raise serializers.ValidationError(_details(error)) from error

    def _of_columns(self, columns: RowColumns) -> JudgedRows:
        self._check_names(columns.names)
        check_size(columns.count, self.dataset.name)
        rows = rows_judge(columns, self.options)
        if rows.errors:
            raise serializers.ValidationError({self.dataset.name: cast("Any", _by_row(rows.errors))})
        return rows

    def _check_names(self, names: Sequence[str]) -> None:
        """Refuse missing and unknown columns."""
        options, known = self.options, self.options.names
        errors = {name: [ErrorDetail(MISSING, "required")] for name in options.required if name not in names}
        unknown = () if options.ignore_unknown else (name for name in names if name not in known)
        for name in islice(unknown, ERRORS_LIMIT):
            message = f"is not a column of these rows{nearest_name(name, known)}"
            errors[name[:LONGEST_SHOWN]] = [ErrorDetail(message, "unknown_field")]
        if errors:
            raise serializers.ValidationError(cast("Any", errors))


def read_batch(decode: Callable[[bytes, BatchOptions], Any], body: bytes, options: BatchOptions) -> RowBatch:
    """Return the valid batch of a body. decode: returns the `data` of a `BatchSerializer`.

    Raises `MalformedDocument`, `BatchRefused`.
    """
    serializer = BatchSerializer(
        dataset=options.dataset,
        data=decode(body, options),
        context={"options": options, "ignore_unknown": options.ignore_unknown},
    )
    if not serializer.is_valid():
        raise refusal_of(list(islice(field_errors(serializer.errors), ERRORS_LIMIT)))
    batch: RowBatch = serializer.validated_data
    return batch


class IngestAnswerSerializer(serializers.Serializer[Any]):
    """The result of a batch."""

    symbol = serializers.CharField()
    received = serializers.IntegerField(source="receipt.received", help_text="Rows in the batch.")
    stored = serializers.IntegerField(source="receipt.stored", help_text="Rows that were not stored before.")
    duplicates = serializers.IntegerField(
        source="receipt.duplicates", help_text="Rows that were stored before."
    )
    duplicate_rows = serializers.ListField(
        source="receipt.duplicate_rows",
        child=serializers.IntegerField(),
        help_text="The indexes of the duplicates in the batch, from 0; at most 100.",
    )
    commit = serializers.IntegerField(
        source="receipt.commit.number",
        help_text="The number of the log's newest commit, with these rows in it.",
    )
    replaced = serializers.IntegerField(
        source="receipt.replaced",
        required=False,
        help_text="Rows that replaced a stored one; left out without `on_conflict=replace`.",
    )
    unknown_conditions = serializers.DictField(
        child=serializers.IntegerField(),
        required=False,
        help_text="Rows by condition whose meaning is not known; left out if there is none.",
    )

    def to_representation(self, instance: Any) -> Any:
        document = super().to_representation(instance)
        if not document.get("unknown_conditions"):
            document.pop("unknown_conditions", None)
        if not instance.replaces:
            document.pop("replaced", None)
        return document


def _details(error: BatchRefused) -> dict[str, list[ErrorDetail]]:
    """Return the error of a batch, or of some of its columns, in DRF's form."""
    if not error.errors:
        return {"non_field_errors": [ErrorDetail(str(error), error.code)]}
    return {each.path: [ErrorDetail(each.message, each.code)] for each in error.errors}


def _by_row(errors: Iterable[RowError]) -> dict[int, dict[str, list[ErrorDetail]]]:
    """Return row errors in DRF's form: row number to field to details."""
    by_row: dict[int, dict[str, list[ErrorDetail]]] = {}
    for error in errors:
        by_row.setdefault(error.row, {})[error.column or "non_field_errors"] = [
            ErrorDetail(error.message, error.code)
        ]
    return by_row


def title_of(dataset: Dataset) -> str:
    """Return the beginning of the names of a dataset's schemas, such as `OpenInterestReport`."""
    return dataset.row_name.title().replace("_", "")


_DECLARED = DATASETS.values()
# If all errors of a batch share one of these codes, the answer carries it instead of `validation_failed`.
_SPECIFIC_CODES = (
    {"invalid_symbol", "unknown_field"}
    | {
        column.lower_bound.code
        for dataset in _DECLARED
        for column in dataset.columns
        if column.lower_bound is not None
    }
    | {rule.code for dataset in _DECLARED for rule in dataset.rules}
) - {"out_of_range"}
_BATCH_CODES = {"empty_batch", "too_many_rows", "mixed_symbols", "mixed_resolutions", "too_many_dates"}


def refusal_of(errors: Sequence[FieldError]) -> BatchRefused:
    """Return the refusal of a batch with these errors, at least one; its code is the most specific one that fits all."""
    codes = {error.code for error in errors}
    if len(codes) == 1 and codes <= _BATCH_CODES:
        return BatchRefused(errors[0].code, errors[0].message)
    code = codes.pop() if len(codes) == 1 and codes <= _SPECIFIC_CODES else "validation_failed"
    first = errors[0]
    others = "more" if len(errors) == ERRORS_LIMIT else f"{len(errors) - 1} more"
    more = f", and {others}" if len(errors) > 1 else ""
    return BatchRefused(code, f"{first.path or 'the body'}: {first.message}{more}", errors)
