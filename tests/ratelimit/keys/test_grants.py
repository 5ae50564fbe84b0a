"""Who may give what, as a table."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from ratelimit.callers import Caller
from ratelimit.credentials.people import caller_of_person
from ratelimit.exceptions import GrantExceeded
from ratelimit.keys.grants import check_within, exceeded_grants
from ratelimit.models import ApiKey

END = datetime(2030, 1, 2, tzinfo=UTC)
HAS = {
    "identity": "key:1",
    "name": "desk",
    "tier": "premium",
    "rate": 100,
    "scopes": frozenset({"market:read", "keys:manage"}),
    "trading_rate": 2,
    "daily_quota": 1000,
    "monthly_quota": 5000,
    "accounts": frozenset({"A", "B"}),
    "sensitivity": "internal",
    "networks": (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
    "expires_at": END,
    "signed_only": True,
}


def caller(**changes) -> Caller:
    return Caller(**{**HAS, **changes})


@pytest.mark.parametrize(
    ("wanted", "exceeded"),
    [
        ({}, []),
        ({"scopes": frozenset({"market:read"})}, []),
        ({"scopes": frozenset({"market:write"})}, ["scopes"]),
        ({"accounts": frozenset({"A"})}, []),
        ({"accounts": frozenset({"A", "C"})}, ["accounts"]),
        ({"accounts": frozenset({"*"})}, ["accounts"]),
        ({"sensitivity": "public"}, []),
        ({"sensitivity": "confidential"}, ["sensitivity"]),
        ({"rate": 101}, ["rate"]),
        ({"trading_rate": 3}, ["trading_rate"]),
        ({"daily_quota": 1001}, ["daily_quota"]),
        ({"daily_quota": None}, ["daily_quota"]),
        ({"monthly_quota": None}, ["monthly_quota"]),
        ({"networks": (ip_network("10.1.0.0/16"),)}, []),
        ({"networks": (ip_network("2001:db8:1::/48"),)}, []),
        ({"networks": ()}, ["networks"]),
        ({"networks": (ip_network("10.0.0.0/7"),)}, ["networks"]),
        ({"networks": (ip_network("10.1.0.0/16"), ip_network("192.0.2.0/24"))}, ["networks"]),
        ({"networks": (ip_network("2001::/16"),)}, ["networks"]),
        ({"expires_at": END}, []),
        ({"expires_at": END - timedelta(days=1)}, []),
        ({"expires_at": END + timedelta(seconds=1)}, ["expires_at"]),
        ({"expires_at": None}, ["expires_at"]),
        ({"signed_only": False}, ["signed_only"]),
        ({"rate": 1000, "scopes": frozenset({"audit:read"})}, ["scopes", "rate"]),
    ],
)
def test_a_grant_beyond_the_callers_own_is_refused(wanted, exceeded):
    assert exceeded_grants(caller(), caller(**wanted)) == exceeded


@pytest.mark.parametrize(
    ("has", "wanted"),
    [
        ({"accounts": frozenset({"*"})}, {"accounts": frozenset({"*"})}),
        ({"accounts": frozenset({"*"})}, {"accounts": frozenset({"Z"})}),
        ({"daily_quota": None}, {"daily_quota": None}),
        ({"daily_quota": None}, {"daily_quota": 10**9}),
        ({"networks": ()}, {"networks": ()}),
        ({"expires_at": None}, {"expires_at": None}),
        ({"expires_at": None}, {"expires_at": END}),
        ({"signed_only": False}, {"signed_only": True}),
        ({"signed_only": False}, {"signed_only": False}),
        ({"networks": ()}, {"networks": (ip_network("0.0.0.0/0"),)}),
    ],
)
def test_a_caller_with_every_grant_may_grant_anything(has, wanted):
    assert exceeded_grants(caller(**has), caller(**wanted)) == []


def test_a_refusal_names_the_exceeded_grants():
    key = ApiKey(
        name="x", tier="premium", scopes=["all"], sensitivity="confidential", networks=["10.1.0.0/16"]
    )
    with pytest.raises(
        GrantExceeded,
        match="scopes, sensitivity, daily_quota, monthly_quota, expires_at",
    ):
        check_within(caller(), key)


def test_an_operator_may_give_anything():
    check_within(None, ApiKey(name="x", tier="internal", scopes=["audit:read"]))


@pytest.mark.django_db
def test_a_superuser_may_give_the_trading_rate_that_every_key_has(settings):
    settings.TRADING_RATE = 5
    root = caller_of_person(User.objects.create_superuser("root"), credential="session", now=timezone.now())
    assert root is not None
    check_within(
        root, ApiKey(name="x", tier="internal", scopes=["trading:write"], sensitivity="confidential")
    )
