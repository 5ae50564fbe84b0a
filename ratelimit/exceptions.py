"""What can go wrong with keys.

RateLimitError
├── CredentialError            the caller must present another key; a retry with the same one fails again
│   ├── InvalidApiKey
│   ├── ExpiredApiKey
│   └── RevokedApiKey
└── KeyAdministrationError     the operator must correct the request
    ├── InvalidKeyRequest
    ├── UnknownTier
    ├── UnknownScope
    ├── UnknownKey
    └── AmbiguousKey
"""

from typing import ClassVar


class RateLimitError(Exception):
    """Base of all errors of this app; `str(error)` may be shown to the client."""

    code: ClassVar[str] = "rate_limit_error"


class CredentialError(RateLimitError):
    """A key was presented and does not admit its bearer."""

    code = "invalid_credentials"


class InvalidApiKey(CredentialError):
    """The key is malformed or unknown; present a valid one."""

    code = "invalid_api_key"


class ExpiredApiKey(CredentialError):
    """The key was valid until its expiry; ask for a new one."""

    code = "expired_api_key"


class RevokedApiKey(CredentialError):
    """The key was withdrawn; ask for a new one."""

    code = "revoked_api_key"


class KeyAdministrationError(RateLimitError):
    """A key could not be made, found or changed as asked."""

    code = "invalid_key_request"


class InvalidKeyRequest(KeyAdministrationError):
    """The name, rate or expiry of a new key is out of bounds; correct it."""


class UnknownTier(KeyAdministrationError):
    """There is no such tier; choose one of those that the message lists."""

    code = "unknown_tier"


class UnknownScope(KeyAdministrationError):
    """There is no such scope; choose from those that the message lists."""

    code = "unknown_scope"


class UnknownKey(KeyAdministrationError):
    """No key has this id or prefix; look it up in the list of keys."""

    code = "unknown_key"


class AmbiguousKey(KeyAdministrationError):
    """Several keys share this prefix; name the one that is meant by its id."""

    code = "ambiguous_key"
