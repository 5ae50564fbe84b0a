"""The declared form of what is sent and answered: the schema's and the browsable form's source.

A batch normally goes through the typed decoder. These serializers accept and refuse the same, by the same
validation of columns, and say why.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from rest_framework import serializers

from http_requests.field_errors import KnownFieldsSerializer
from store.declarations import Dataset
from trades.batches.fields import ColumnField, SymbolField
from trades.batches.json_columns import JsonRows, read_rows
from trades.batches.row_batch import ROWS_LIMIT, Expected, assembled, check_size
from trades.batches.sample_rows import SAMPLE_ROWS
from trades.batches.validation import Finding
from trades.exceptions import BatchRefused


class RowListSerializer(serializers.ListSerializer[Any]):
    """Rows, validated by columns; names at most the first hundred wrong fields."""

    def to_internal_value(self, data: Any) -> Any:
        expected = cast("BatchSerializer", self.parent).expected
        if not isinstance(data, list):
            raise serializers.ValidationError(
                f"must be a list of {expected.dataset.name}", code="invalid_type"
            )
        rows = read_rows(data, expected, epoch=self.context.get("epoch", False))
        if rows.findings:
            raise serializers.ValidationError(cast("Any", _by_row(rows.findings)))
        return rows


class RowSerializer(KnownFieldsSerializer):
    """One row of a dataset."""

    dataset: Dataset

    class Meta:
        list_serializer_class = RowListSerializer


class BatchSerializer(KnownFieldsSerializer):
    """A batch of rows of one symbol, stored whole or not at all.

    The context's `expected` says what it is read as, its `epoch` whether times may be nanoseconds.
    """

    dataset: Dataset

    @property
    def expected(self) -> Expected:
        """What the document is read as."""
        ignore_unknown = bool(self.context.get("ignore_unknown"))
        return self.context.get("expected") or Expected(self.dataset, ignore_unknown)

    def get_initial(self) -> Any:
        """What the browsable form begins with."""
        return {self.dataset.name: SAMPLE_ROWS[self.dataset.name]}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The batch in place of its rows."""
        name = self.dataset.name
        rows: JsonRows = attrs[name]
        try:
            check_size(rows.count, name)
            batch = assembled(self.expected, rows.columns, rows.columns["symbol"].unique().to_pylist())
        except BatchRefused as error:
            raise serializers.ValidationError(str(error), code=error.code) from error
        return {name: batch}


@cache
def row_serializer(dataset: Dataset) -> type[RowSerializer]:
    """The serializer of one row, made from the dataset's declaration."""
    first, *others = dataset.columns
    symbol = SymbolField(help_text="The instrument; one symbol in a batch.")
    fields = {first.name: ColumnField(first), "symbol": symbol} | {c.name: ColumnField(c) for c in others}
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


def _by_row(findings: Iterable[Finding]) -> dict[int, dict[str, list[serializers.ErrorDetail]]]:
    """Findings as the errors of a list of objects."""
    errors: dict[int, dict[str, list[serializers.ErrorDetail]]] = {}
    for finding in findings:
        of_row = errors.setdefault(finding.row, {})
        of_row[finding.column or "non_field_errors"] = [
            serializers.ErrorDetail(finding.message, finding.code)
        ]
    return errors


def _title(dataset: Dataset) -> str:
    return dataset.row_name.title().replace("_", "")
