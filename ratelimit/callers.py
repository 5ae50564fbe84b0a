"""The caller of a request: one type for every kind of credential."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

ALL_ACCOUNTS = "*"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller and its grants.

    `identity` is permanent: `key:12`, `user:7` (a person). `credential` is the kind of credential
    that this request used: `api_key`, `jwt`, `oauth2`, `signature`, `certificate` or `session`. Rates are in tokens
    per second. Quotas are in tokens; None is unlimited. `accounts` contains ALL_ACCOUNTS if every account is granted.
    `key_digest` is the digest of the API key that was sent, or has signed; "" for other credentials. The grants end at
    `expires_at`. A `signed_only` key may only sign requests.
    """

    identity: str
    name: str
    tier: str
    rate: int
    scopes: frozenset[str]
    credential: str = "api_key"
    trading_rate: int = 1
    daily_quota: int | None = None
    monthly_quota: int | None = None
    accounts: frozenset[str] = frozenset()
    sensitivity: str = "public"
    networks: tuple[Network, ...] = ()
    key_digest: str = ""
    expires_at: datetime | None = None
    signed_only: bool = False

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def owns(self, account: str) -> bool:
        return ALL_ACCOUNTS in self.accounts or account in self.accounts

    def may_call_from(self, address: str) -> bool:
        """Return whether an IP address is in one of the caller's networks; True if the caller has no networks."""
        if not self.networks:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # A dual-stack socket reports an IPv4 client by its IPv4-mapped IPv6 address.
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self.networks)

    def __str__(self) -> str:
        return self.name
