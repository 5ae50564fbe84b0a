"""Bodies whose fields are all known."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, cast

from rest_framework import serializers

from listing.nearest_name import LONGEST_SHOWN, nearest_name

_ERRORS_LIMIT = 100


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not declare, naming the nearest that it does."""

    def to_internal_value(self, data: Any) -> Any:
        names = data if isinstance(data, Mapping) else ()
        unknown = {
            str(name)[:LONGEST_SHOWN]: [
                serializers.ErrorDetail(
                    f"is not a field of this object{nearest_name(str(name), list(self.fields))}",
                    "unknown_field",
                )
            ]
            for name in islice((name for name in names if name not in self.fields), _ERRORS_LIMIT)
        }
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**cast("dict[str, Any]", error.detail), **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return value
