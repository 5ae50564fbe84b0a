"""What can go wrong with credentials.

RateLimitError
├── CredentialError            the caller must present another credential; a retry with the same fails again
│   ├── InvalidAuthorization
│   ├── AmbiguousCredentials
│   ├── SignatureRequired
│   ├── InvalidToken
│   ├── InvalidLogin
│   ├── InvalidSignature
│   ├── SignatureExpired
│   ├── DigestMismatch
│   ├── NonceUsed
│   ├── InvalidCertificate
│   ├── InvalidApiKey
│   ├── ExpiredApiKey
│   └── RevokedApiKey
├── NetworkNotAllowed          the caller must call from elsewhere, or have its networks widened
└── KeyAdministrationError     the operator must correct the request
    ├── InvalidKeyRequest
    ├── UnknownTier
    ├── UnknownScope
    ├── UnknownKey
    ├── UnknownClient
    ├── AmbiguousKey
    ├── NotRotatable
    ├── GrantExceeded
    ├── IdempotencyKeyReused
    └── AlreadyMade

What is wrong with the form of a call about keys is in `http_requests.exceptions`.
"""

from typing import ClassVar

from refusals.field_error import FieldError


class RateLimitError(Exception):
    """Base of all errors of this app; `str(error)` may be shown to the client.

    What a client can meet has a stable `code`; the others are met by operators at the command line.
    """

    code: ClassVar[str]


class CredentialError(RateLimitError):
    """A credential was presented and does not admit its bearer."""


class InvalidAuthorization(CredentialError):
    """The header is not one known scheme with one credential; correct it."""

    code = "invalid_credentials"


class AmbiguousCredentials(CredentialError):
    """Several credentials were presented; send one."""

    code = "ambiguous_credentials"


class SignatureRequired(CredentialError):
    """The key is good for signing only; sign the request instead of sending the key."""

    code = "signature_required"


class InvalidToken(CredentialError):
    """The token is not one of ours, has expired or was withdrawn; get a new one. What it is, is not told."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("the token is not valid")


class InvalidLogin(CredentialError):
    """The name and the password admit nobody; correct them."""

    code = "invalid_login"

    def __init__(self) -> None:
        super().__init__("the name or the password is wrong")


class InvalidApiKey(CredentialError):
    """The key is malformed or unknown; present a valid one."""

    code = "invalid_api_key"


class ExpiredApiKey(CredentialError):
    """The key was valid until its expiry; ask for a new one."""

    code = "expired_api_key"


class RevokedApiKey(CredentialError):
    """The key was withdrawn; ask for a new one."""

    code = "revoked_api_key"


class InvalidSignature(CredentialError):
    """The signature is malformed, wrong, of no key, or covers too little; sign the request as it is sent."""

    code = "invalid_signature"


class SignatureExpired(CredentialError):
    """The signature was made too long ago, or in the future; set the clock and sign again."""

    code = "signature_expired"


class DigestMismatch(CredentialError):
    """The digest that was signed is not that of the body; sign the body that is sent."""

    code = "digest_mismatch"


class NonceUsed(CredentialError):
    """The signature was used before; sign again with another nonce."""

    code = "nonce_used"


class InvalidCertificate(CredentialError):
    """The client certificate stands for no key; have it entered, or connect with another."""

    code = "invalid_certificate"


class NetworkNotAllowed(RateLimitError):
    """The credential is good, but not from this address; call from one of its networks."""

    code = "network_not_allowed"


class KeyAdministrationError(RateLimitError):
    """A key could not be made, found or changed as asked."""


class InvalidKeyRequest(KeyAdministrationError):
    """A term of a new key, or the overlap of a rotation, is none that there can be; correct it."""

    code = "invalid_key_request"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.errors = () if field is None else (FieldError(field, self.code, message),)


class UnknownTier(KeyAdministrationError):
    """There is no such tier; choose one of those that the message lists."""


class UnknownScope(KeyAdministrationError):
    """There is no such scope; choose from those that the message lists."""


class UnknownKey(KeyAdministrationError):
    """No key has this id or prefix; look it up in the list of keys."""

    code = "unknown_key"


class UnknownClient(KeyAdministrationError):
    """No client of OAuth2 has this number or client id; look it up in the list of clients."""


class AmbiguousKey(KeyAdministrationError):
    """Several keys share this prefix; name the one that is meant by its id."""


class NotRotatable(KeyAdministrationError):
    """The key was rotated or revoked before, or has expired; rotate its successor, or make a new key."""

    code = "not_rotatable"


class GrantExceeded(KeyAdministrationError):
    """The key has, or would have, more than whoever asks; ask for less, or ask somebody with more."""

    code = "grant_exceeded"


class IdempotencyKeyReused(KeyAdministrationError):
    """The Idempotency-Key came with another body before; take a new one."""

    code = "idempotency_key_reused"


class AlreadyMade(KeyAdministrationError):
    """The key was made by the first request with this Idempotency-Key, and its answer can no longer be opened."""

    code = "already_made"
