"""Who makes a request, whatever credential says so."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

ALL_ACCOUNTS = "*"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller and what it was granted.

    `identity` names it for ever and everywhere: `key:12`, `client:3` (of OAuth2), `user:7` (a person).
    `credential` is how it proved who it is this time: `api_key`, `jwt`, `oauth2`, `signature`, `certificate`
    or `session`. Rates are in requests per second; a quota of None is none. `accounts` holds ALL_ACCOUNTS
    where every account is its own. `family` is what its buckets and quotas are of: the first key of a chain
    of rotations (`key:3`), of others their identity. `expires_at` is the end of what it was granted; what is
    `signed_only` is never shown bare.
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
    family: str = ""
    expires_at: datetime | None = None
    signed_only: bool = False

    is_authenticated = True
    is_anonymous = False
    is_active = True

    def __post_init__(self) -> None:
        if not self.family:
            object.__setattr__(self, "family", self.identity)

    def owns(self, account: str) -> bool:
        return ALL_ACCOUNTS in self.accounts or account in self.accounts

    def may_call_from(self, address: str) -> bool:
        """Whether an IP address lies in one of its networks; without networks from anywhere."""
        if not self.networks:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # Where a socket is for both, whoever calls over IPv4 has an address of IPv6.
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self.networks)

    def __str__(self) -> str:
        return self.name
