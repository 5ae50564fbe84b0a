"""Documents that the schema shows."""

from typing import Any

NEW_KEY: dict[str, Any] = {
    "name": "feed",
    "tier": "premium",
    "scopes": ["market:read", "market:write"],
    "networks": ["203.0.113.0/24"],
    "expires_at": "2030-01-02T03:04:05Z",
}
ROTATION = {"overlap_seconds": 3600}
KEY: dict[str, Any] = {
    "id": 12,
    "prefix": "Qm3xT9aL",
    "name": "feed",
    "state": "active",
    "tier": "premium",
    "rate": 100,
    "trading_rate": 1,
    "daily_quota": 10_000_000,
    "monthly_quota": 200_000_000,
    "scopes": ["market:read", "market:write"],
    "accounts": [],
    "sensitivity": "internal",
    "networks": ["203.0.113.0/24"],
    "signed_only": False,
    "certificate": None,
    "before_expiry": "warn",
    "created_at": "2029-01-02T03:04:05Z",
    "expires_at": "2030-01-02T03:04:05Z",
    "revoked_at": None,
    "last_used_at": None,
    "replaces": None,
    "replaced_by": None,
}
_SECRETS = {
    "key": "md_Qm3xT9aL_" + "0123456789abcdefghijABCDEFGHIJ0123456789abc",
    "signing_secret": "mds_" + "0123456789abcdefghijABCDEFGHIJ0123456789abc",
}
NEW_KEY_ANSWER: dict[str, Any] = {**_SECRETS, **KEY}
ROTATED_KEY_ANSWER: dict[str, Any] = {**NEW_KEY_ANSWER, "replaces": 11}
