"""Serializer fields made from a column's declaration: no JSON type is coerced into another."""

from typing import Any

from drf_spectacular.drainage import set_override
from rest_framework import serializers

from store.declarations import Column
from trades.batches.validation import SYMBOL, rule_of
from trades.batches.value_rule import NULL, REQUIRED, Fault


class ColumnField(serializers.Field[Any, Any, Any, Any]):
    """Takes what may stand in a column, and gives it as the column holds it; words as one text.

    A lower bound of prices does not hold if the context's `takes_any_price()` says so. Options that are not
    given are the declaration's.
    """

    def __init__(self, column: Column, **options: Any) -> None:
        declared = {} if column.required else {"required": False, "allow_null": True}
        super().__init__(**{"help_text": column.help} | declared | options)
        self._rule = rule_of(column)
        for fault in (REQUIRED, NULL, *self._rule.faults):
            self.error_messages[fault.code] = fault.message
        schema = self._rule.schema
        if column.choices and self.allow_null:
            # The schema's generator gives plain lists of words a name, and forgets that null is allowed besides.
            schema = {"anyOf": [schema]}
        set_override(self, "field", schema)

    def to_internal_value(self, data: object) -> Any:
        found = self._rule.judged(data, self.context.get("takes_any_price", bool))
        if isinstance(found, Fault):
            raise serializers.ValidationError(found.message, code=found.code)
        return found


class SymbolField(ColumnField):
    """A symbol in any case; `/` is taken as `-`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SYMBOL, **options)
