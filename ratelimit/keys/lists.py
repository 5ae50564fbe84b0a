"""Filters and pagination of the list of keys."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from rest_framework.request import Request
from rest_framework.views import APIView

from listing.filters import choice_filter
from listing.pages import KeysetPagination
from ratelimit.entitlements import STATES, TIERS
from ratelimit.models import ApiKey


class KeyPagination(KeysetPagination):
    """Pages of keys, ordered by id."""

    rows_name = "keys"
    by = "id"
    sort_description = "By id, oldest first."

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """Return the page's keys, with prefetched successors. Raises RequestError."""
        return super().paginate_queryset(queryset.prefetch_related("successors"), request, view)


Keys = QuerySet[ApiKey]


def in_state(keys: Keys, state: str) -> Keys:
    """Return the keys that are in `state`, one of STATES, now."""
    now = timezone.now()
    if state == "revoked":
        return keys.exclude(revoked_at=None)
    is_expired = Q(expires_at__lte=now)
    valid = keys.filter(revoked_at=None)
    return valid.filter(is_expired) if state == "expired" else valid.exclude(is_expired)


class KeyFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    tier = choice_filter(tuple(TIERS), "The key's tier.")
    state = choice_filter(STATES, "The key's state.", method="of_state")
    name = django_filters.CharFilter(
        lookup_expr="istartswith", max_length=100, help_text="The beginning of the key's name."
    )
    prefix = django_filters.CharFilter(max_length=8, help_text="The key's prefix: `md_<prefix>_…`.")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = ()

    def of_state(self, keys: Keys, _: str, state: str) -> Keys:
        return in_state(keys, state)
