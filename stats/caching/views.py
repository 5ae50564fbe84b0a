"""The endpoints of the response cache."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from stats.caching.response_cache import RESPONSE_CACHE, cache_statistics
from stats.caching.serializers import CacheStatisticsSerializer, InvalidatedSerializer, InvalidateSerializer
from trades.instruments.services import symbol_canonical
from web.endpoints import WRITE, Access
from web.requests.parameters import single_parameters
from web.requests.parsers import JSONDocumentParser, request_document


class CacheViewSet(GenericViewSet):  # type: ignore[type-arg]  # no model stands behind it
    """The response cache."""

    access = {
        "stats": Access("market:read", sensitivity="internal"),
        # Redis looks at all of its keys: once a second, whatever the client's rate.
        "invalidate": Access(
            "market:write", sensitivity="internal", kind=WRITE, cost="stream", bucket="cache", rate=10
        ),
    }
    serializer_class = InvalidateSerializer
    parser_classes = [JSONDocumentParser]

    @extend_schema(
        responses={200: CacheStatisticsSerializer},
    )
    def stats(self, request: Request) -> Response:
        """Statistics of the response cache.

        Hits, misses, requests that waited for another's computation, and bytes, over all processes.
        """
        single_parameters(request.GET, ("format",))
        return Response(cache_statistics())

    @extend_schema(
        responses={200: InvalidatedSerializer},
    )
    def invalidate(self, request: Request) -> Response:
        """Drop the cached answers about a symbol.

        Drop the cached answers about a symbol alone; those about several symbols stay.

        Cached answers are never stale, so this only frees memory and forces a recomputation. Within a second each
        process of this machine empties its own memory.
        """
        single_parameters(request.GET, ("format",))
        serializer = self.get_serializer(data=request_document(request))
        serializer.is_valid(raise_exception=True)
        symbol = symbol_canonical(serializer.validated_data["symbol"])
        count = RESPONSE_CACHE.drop(symbol)
        return Response({"symbol": symbol, "entries": count or 0, "redis_reached": count is not None})
