"""The filters of the list of keys."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.request import Request
from rest_framework.views import APIView

from ratelimit.entitlements import STATES
from ratelimit.exceptions import MalformedCall
from ratelimit.limits.tiers import TIERS
from ratelimit.models import ApiKey

Keys = QuerySet[ApiKey]


def in_state(keys: Keys, state: str) -> Keys:
    """The keys that are in one of STATES now."""
    now = timezone.now()
    if state == "revoked":
        return keys.exclude(revoked_at=None)
    is_expired = Q(expires_at__lte=now)
    valid = keys.filter(revoked_at=None)
    return valid.filter(is_expired) if state == "expired" else valid.exclude(is_expired)


def _words(words: Any, text: str, **options: Any) -> django_filters.ChoiceFilter:
    return django_filters.ChoiceFilter(
        choices=[(word, word) for word in words],
        help_text=text,
        error_messages={"invalid_choice": f"must be one of {', '.join(words)}"},
        **options,
    )


class KeyFilter(FilterSet):  # type: ignore[misc]  # not typed
    """What a key must be to be listed: all that is given holds."""

    tier = _words(tuple(TIERS), "Its tier.")
    state = _words(STATES, "What it is now.", method="of_state")
    name = django_filters.CharFilter(
        lookup_expr="istartswith", max_length=100, help_text="What its name begins with."
    )
    prefix = django_filters.CharFilter(max_length=8, help_text="Its prefix: `md_<prefix>_…`.")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = ()

    def of_state(self, keys: Keys, _: str, state: str) -> Keys:
        return in_state(keys, state)


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # not typed
    """Refuses a filter's wrong value with the code of other query parameters."""

    def filter_queryset(self, request: Request, queryset: Keys, view: APIView) -> Any:
        """The keys that are left. Raises MalformedCall."""
        filters = self.get_filterset(request, queryset, view)
        if filters.is_valid():
            return filters.qs
        name, errors = next(iter(filters.errors.as_data().items()))
        raise MalformedCall("invalid_parameter", f"{name}: {errors[0].messages[0]}")
