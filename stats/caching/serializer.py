"""The value codec of django-redis for a cache that holds finished bytes."""

from typing import Any

from django_redis.serializers.base import BaseSerializer


class BytesSerializer(BaseSerializer):  # type: ignore[misc]  # django-redis ships no types
    """Bytes in, the same bytes out. Any other type is a TypeError, so nothing is ever pickled."""

    def dumps(self, value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise TypeError(f"the cache holds bytes, not {type(value).__name__}")
        return value

    def loads(self, value: bytes) -> bytes:
        return value
