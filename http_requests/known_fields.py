"""Bodies whose fields are all known."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, cast

from rest_framework import serializers

from refusals.field_error import ERRORS_LIMIT
from refusals.nearest_name import LONGEST_SHOWN, no_such_field


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not declare, naming the nearest that it does."""

    default_error_messages = {"invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> Any:
        """The value of a body. Where the context says `ignore_unknown`, unknown fields are passed over."""
        unknown = {} if self.context.get("ignore_unknown") else self._unknown(data)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**cast("dict[str, Any]", error.detail), **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, data: Any) -> dict[str, list[serializers.ErrorDetail]]:
        """What is said of the first fields that are not declared, by name; nothing of what is no object."""
        names = data if isinstance(data, Mapping) else ()
        undeclared = (str(name) for name in names if name not in self.fields)
        return {name[:LONGEST_SHOWN]: [self._refusal(name)] for name in islice(undeclared, ERRORS_LIMIT)}

    def _refusal(self, name: str) -> serializers.ErrorDetail:
        return serializers.ErrorDetail(no_such_field(name, list(self.fields)), "unknown_field")
