"""What a key may be asked to be, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ratelimit.exceptions import InvalidKeyRequest
from ratelimit.keys.terms import MAX_LISTED, MAX_RATE, columns_of, least_sensitivity
from ratelimit.limits.quotas import MAX_QUOTA

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FINGERPRINT = "0f" * 32


def columns(**changes) -> dict[str, Any]:
    terms: Any = {"name": "feed", "scopes": ["market:read"], **changes}
    return columns_of(terms, now=NOW)


def test_omitted_terms_are_the_default():
    assert columns() == {
        "name": "feed",
        "tier": "default",
        "rate": None,
        "trading_rate": None,
        "daily_quota": None,
        "monthly_quota": None,
        "scopes": ["market:read"],
        "accounts": [],
        "sensitivity": "internal",
        "networks": [],
        "expires_at": None,
        "signed_only": False,
        "certificate": None,
        "before_expiry": "warn",
    }


@pytest.mark.parametrize(
    ("field", "asked", "stored"),
    [
        ("name", "x" * 100, "x" * 100),
        ("name", "md_feed and mds_feed", "md_feed and mds_feed"),
        ("tier", "internal", "internal"),
        ("scopes", ["all"], "all"),
        ("scopes", ["market:write", "market:read", "market:read"], ["market:read", "market:write"]),
        ("rate", 1, 1),
        ("rate", MAX_RATE, MAX_RATE),
        ("trading_rate", MAX_RATE, MAX_RATE),
        ("daily_quota", 0, 0),
        ("monthly_quota", MAX_QUOTA, MAX_QUOTA),
        ("accounts", ["B", "A", "B"], ["B", "A"]),
        ("accounts", ["A", "*"], ["*"]),
        ("accounts", ["a.b_c:d-1"], ["a.b_c:d-1"]),
        ("sensitivity", "public", "public"),
        ("sensitivity", None, "internal"),
        ("networks", ["10.0.0.0/8", "10.0.0.0/8"], ["10.0.0.0/8"]),
        ("networks", ["192.0.2.7"], ["192.0.2.7/32"]),
        ("networks", ["2001:DB8::/32"], ["2001:db8::/32"]),
        ("networks", ["::/0"], ["::/0"]),
        ("expires_at", NOW + timedelta(seconds=1), NOW + timedelta(seconds=1)),
        ("signed_only", True, True),
        ("certificate", FINGERPRINT, FINGERPRINT),
        ("certificate", ":".join(["0F"] * 32), FINGERPRINT),
        ("before_expiry", "rotate", "rotate"),
    ],
    ids=str,
)
def test_terms_are_stored_normalized(field, asked, stored):
    found = columns(**{field: asked})[field]
    if stored == "all":
        assert len(found) == 10
    else:
        assert found == stored


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("name", " "),
        ("name", "x" * 101),
        ("name", "a\x00b"),
        ("name", f"md_abcdefgh_{'x' * 43}"),
        ("name", f"key md_abcdefgh_{'x' * 32}!"),
        ("name", f"MDS_{'x' * 43}"),
        ("expires_at", datetime(2201, 1, 1, tzinfo=UTC)),
        ("tier", "gold"),
        ("scopes", []),
        ("scopes", ["everything"]),
        ("rate", 0),
        ("rate", MAX_RATE + 1),
        ("trading_rate", 0),
        ("daily_quota", -1),
        ("monthly_quota", MAX_QUOTA + 1),
        ("accounts", ["a b"]),
        ("accounts", ["../A"]),
        ("accounts", ["x" * 65]),
        ("accounts", [f"A{n}" for n in range(MAX_LISTED + 1)]),
        ("sensitivity", "secret"),
        ("networks", ["10.0.0.1/8"]),
        ("networks", ["everywhere"]),
        ("networks", ["10.0.0.0/33"]),
        ("networks", ["fe80::1%eth0/128"]),
        ("networks", ["::ffff:10.0.0.0/104"]),
        ("networks", ["::ffff:10.1.2.3"]),
        ("networks", [f"10.0.0.{n}" for n in range(MAX_LISTED + 1)]),
        ("expires_at", NOW),
        ("certificate", "0f" * 31),
        ("certificate", "zz" * 32),
        ("before_expiry", "nothing"),
    ],
    ids=str,
)
def test_an_invalid_term_is_refused_by_its_field(field, asked):
    with pytest.raises(InvalidKeyRequest) as refusal:
        columns(**{field: asked})
    assert [wrong.path for wrong in refusal.value.errors] == [field]


@pytest.mark.parametrize(
    ("scopes", "sensitivity"),
    [
        (["market:read"], "internal"),
        (["market:read", "market:write"], "internal"),
        (["market:read", "trading:read"], "confidential"),
        (["keys:manage"], "confidential"),
        (["audit:read"], "confidential"),
    ],
)
def test_the_sensitivity_is_the_least_that_the_scopes_need(scopes, sensitivity):
    assert least_sensitivity(scopes) == columns(scopes=scopes)["sensitivity"] == sensitivity


def test_a_network_of_ipv4_in_ipv6_is_refused_with_how_to_write_it():
    with pytest.raises(InvalidKeyRequest, match=r"is a network of IPv4 in IPv6; write 10\.0\.0\.0/8$"):
        columns(networks=["::ffff:10.0.0.0/104"])


def test_a_name_that_looks_like_a_secret_is_not_repeated():
    with pytest.raises(InvalidKeyRequest) as refusal:
        columns(name=f"md_abcdefgh_{'x' * 43}")
    assert str(refusal.value) == "the name contains something that looks like a key or a secret"
