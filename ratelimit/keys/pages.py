"""Pages of the list of keys."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from listing.pages import PlacePagination


class KeyPagination(PlacePagination):
    """By id."""

    rows_name = "keys"
    by = "id"
    sort_description = "By id, oldest first."

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """The keys of the page, with their successors. Raises RequestError."""
        return super().paginate_queryset(queryset.prefetch_related("successors"), request, view)
