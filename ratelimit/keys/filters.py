"""The filters of the list of keys."""

import django_filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet

from http_requests.filters import word_filter
from ratelimit.entitlements import STATES
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


class KeyFilter(FilterSet):  # type: ignore[misc]  # not typed
    """What a key must be to be listed: all that is given holds."""

    tier = word_filter(tuple(TIERS), "Its tier.")
    state = word_filter(STATES, "What it is now.", method="of_state")
    name = django_filters.CharFilter(
        lookup_expr="istartswith", max_length=100, help_text="What its name begins with."
    )
    prefix = django_filters.CharFilter(max_length=8, help_text="Its prefix: `md_<prefix>_…`.")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = ()

    def of_state(self, keys: Keys, _: str, state: str) -> Keys:
        return in_state(keys, state)
