"""The attributes of a new key: validation and normalization. No database access."""

import re
from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv6Network, ip_network
from typing import Any, Required, TypedDict

from ratelimit.access.scopes import SENSITIVITIES, expand_scopes
from ratelimit.callers import ALL_ACCOUNTS
from ratelimit.entitlements import tier_named
from ratelimit.exceptions import InvalidKeyRequest
from ratelimit.limits.quotas import MAX_QUOTA
from store.instant_text import YEARS

MAX_NAME_LENGTH = 100
# The largest number that the database column holds. A bucket's capacity, 2 · 10^6 · rate parts, is then below 2^53, so
# that Lua's doubles hold it exactly.
MAX_RATE = 2**31 - 1
MAX_LISTED = 100
BEFORE_EXPIRY = ("warn", "rotate")

ACCOUNT_FORM = r"\*|[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
CERTIFICATE_FORM = "[0-9a-f]{64}"
# The prefix length of ::ffff:0:0/96, the IPv4-mapped addresses.
_MAPPED_BITS = 96
# Matches API keys and signing secrets.
_SECRET = re.compile(r"md_[\w-]{8}_[\w-]+|mds_[\w-]{20,}", re.IGNORECASE | re.ASCII)
_MARKET_DATA = "market:"


class KeyTerms(TypedDict, total=False):
    """The attributes of a new key. An omitted attribute, and None, mean the default.

    Rates are per second and replace the tier's. Quotas are in tokens; 0 is unlimited. The scope
    `all` is every scope, the account `*` every account. `certificate` is the SHA-256 of a client certificate (DER), in
    hexadecimal.
    """

    name: Required[str]
    scopes: Required[Iterable[str]]
    tier: str
    rate: int | None
    trading_rate: int | None
    daily_quota: int | None
    monthly_quota: int | None
    accounts: Iterable[str]
    sensitivity: str | None
    networks: Iterable[str]
    expires_at: datetime | None
    signed_only: bool
    certificate: str | None
    before_expiry: str


def columns_of(terms: KeyTerms, *, now: datetime) -> dict[str, Any]:
    """Return the model's columns for these attributes. Raises InvalidKeyRequest."""
    scopes = expand_scopes(terms["scopes"])
    _check(bool(scopes), "scopes", "a key needs at least one scope")
    return {
        "name": _name(terms["name"]),
        "tier": tier_named(terms.get("tier", "default")).name,
        "rate": _number(terms, "rate", "the rate", minimum=1, maximum=MAX_RATE),
        "trading_rate": _number(terms, "trading_rate", "the trading rate", minimum=1, maximum=MAX_RATE),
        "daily_quota": _number(terms, "daily_quota", "the daily quota", minimum=0, maximum=MAX_QUOTA),
        "monthly_quota": _number(terms, "monthly_quota", "the monthly quota", minimum=0, maximum=MAX_QUOTA),
        "scopes": list(scopes),
        "accounts": _accounts(terms.get("accounts", ())),
        "sensitivity": _sensitivity(terms.get("sensitivity"), scopes),
        "networks": _networks(terms.get("networks", ())),
        "expires_at": _expiry(terms.get("expires_at"), now=now),
        "signed_only": terms.get("signed_only", False),
        "certificate": _certificate(terms.get("certificate")),
        "before_expiry": _word(terms.get("before_expiry", "warn"), "before_expiry", BEFORE_EXPIRY),
    }


def least_sensitivity(scopes: Iterable[str]) -> str:
    """Return the lowest sensitivity that these scopes need: internal for market data, else confidential."""
    return "internal" if all(scope.startswith(_MARKET_DATA) for scope in scopes) else "confidential"


def _name(name: str) -> str:
    is_valid = bool(name.strip()) and len(name) <= MAX_NAME_LENGTH and name.isprintable()
    _check(is_valid, "name", f"the name must be 1 to {MAX_NAME_LENGTH} printable characters")
    _check(
        _SECRET.search(name) is None, "name", "the name contains something that looks like a key or a secret"
    )
    return name


def _expiry(expiry: datetime | None, *, now: datetime) -> datetime | None:
    if expiry is not None:
        _check(expiry > now, "expires_at", "the expiry must be in the future")
        is_in_range = expiry.year in YEARS
        _check(is_in_range, "expires_at", f"the expiry must not be later than the year {YEARS[-1]}")
    return expiry


def _number(terms: KeyTerms, field: str, wording: str, *, minimum: int, maximum: int) -> int | None:
    number: Any = terms.get(field)
    _check(number is None or minimum <= number <= maximum, field, f"{wording} must be {minimum} to {maximum}")
    return None if number is None else int(number)


def _accounts(accounts: Iterable[str]) -> list[str]:
    distinct = list(dict.fromkeys(accounts))
    _check(len(distinct) <= MAX_LISTED, "accounts", f"a key has at most {MAX_LISTED} accounts")
    for account in distinct:
        is_valid = re.fullmatch(ACCOUNT_FORM, account) is not None
        _check(is_valid, "accounts", f"{account[:64]!r} is not the id of an account")
    return [ALL_ACCOUNTS] if ALL_ACCOUNTS in distinct else distinct


def _sensitivity(sensitivity: str | None, scopes: Iterable[str]) -> str:
    return _word(sensitivity or least_sensitivity(scopes), "sensitivity", SENSITIVITIES)


def _networks(networks: Iterable[str]) -> list[str]:
    distinct = list(dict.fromkeys(_network(text) for text in networks))
    _check(len(distinct) <= MAX_LISTED, "networks", f"a key has at most {MAX_LISTED} networks")
    return distinct


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise InvalidKeyRequest(f"{text[:64]!r} is not a network such as 10.1.0.0/16", "networks") from error
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        ipv4 = ip_network((mapped, network.prefixlen - _MAPPED_BITS), strict=False)
        raise InvalidKeyRequest(f"{text[:64]!r} is a network of IPv4 in IPv6; write {ipv4}", "networks")
    # An address with an interface (fe80::1%eth0) has a meaning on one machine only.
    _check("%" not in text, "networks", f"{text[:64]!r} names an interface")
    return str(network)


def _certificate(fingerprint: str | None) -> str | None:
    """Return a fingerprint in lower case, without OpenSSL's colons. Raises InvalidKeyRequest."""
    if fingerprint is None:
        return None
    digits = fingerprint.replace(":", "").lower()
    is_valid = re.fullmatch(CERTIFICATE_FORM, digits) is not None
    _check(is_valid, "certificate", "the certificate must be its SHA-256, 64 hexadecimal digits")
    return digits


def _word(word: str, field: str, words: tuple[str, ...]) -> str:
    _check(word in words, field, f"{field} is one of {', '.join(words)}, not {word[:64]!r}")
    return word


def _check(is_valid: bool, field: str, message: str) -> None:
    if not is_valid:
        raise InvalidKeyRequest(message, field)
