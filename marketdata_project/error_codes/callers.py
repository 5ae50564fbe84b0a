"""Who calls is not known, or may not do this: 401 and 403."""

from marketdata_project.error_codes.error_code import ErrorCode, GivenBy, NextStep

CALLERS = (
    ErrorCode(
        401,
        "not_authenticated",
        "No credentials were sent. Send `Authorization: Api-Key …` or `X-API-Key: …`.",
        next_step=NextStep.OTHER_CREDENTIAL,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "invalid_api_key",
        "The API key is malformed or unknown.",
        next_step=NextStep.OTHER_CREDENTIAL,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "expired_api_key",
        "The API key has expired. Ask for another.",
        next_step=NextStep.OTHER_CREDENTIAL,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "revoked_api_key",
        "The API key was revoked. Ask for another.",
        next_step=NextStep.OTHER_CREDENTIAL,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "invalid_credentials",
        "The Authorization header is not one known scheme with one credential: `Api-Key <key>` or"
        " `Bearer <token>`.",
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "ambiguous_credentials",
        "Credentials of several kinds, or several of one kind, were presented. Send one.",
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "signature_required",
        "The key is for signing only. Sign the request (RFC 9421) instead of sending the key.",
        next_step=NextStep.SIGN_AGAIN,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "invalid_token",
        "The access token is not one of this installation's, has expired or was withdrawn. Get a new one.",
        next_step=NextStep.OTHER_CREDENTIAL,
    ),
    ErrorCode(
        401,
        "invalid_login",
        "The name or the password is wrong, or nothing is granted to this person.",
        next_step=NextStep.OTHER_CREDENTIAL,
        given_by=GivenBy.LOGINS,
    ),
    ErrorCode(
        403,
        "https_required",
        "The API is called over https. Whoever could read the way has the credential: replace it.",
        next_step=NextStep.OTHER_CREDENTIAL,
    ),
    ErrorCode(
        403,
        "missing_scope",
        "The caller lacks the scope that the message names.",
        next_step=NextStep.MORE_ACCESS,
        given_by=GivenBy.SCOPED,
    ),
    ErrorCode(
        403,
        "insufficient_sensitivity",
        "The caller is not cleared for data as sensitive as the message names.",
        next_step=NextStep.MORE_ACCESS,
        given_by=GivenBy.RESTRICTED,
    ),
    ErrorCode(
        403,
        "forbidden",
        "This is not allowed; for a browser's session also: the CSRF token is missing.",
        next_step=NextStep.MORE_ACCESS,
        given_by=GivenBy.CALLERS_CHANGES,
    ),
    ErrorCode(
        401,
        "invalid_signature",
        "The signature (RFC 9421) is malformed, wrong, of no key, or covers too little; the "
        "message says which.",
        next_step=NextStep.SIGN_AGAIN,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "signature_expired",
        "`created` of the signature is too long ago or in the future, or `expires` is past. Sign again.",
        next_step=NextStep.SIGN_AGAIN,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "digest_mismatch",
        "The signed Content-Digest is not that of the body.",
        next_step=NextStep.SIGN_AGAIN,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "nonce_used",
        "A signed request is accepted once. Sign again, with another nonce.",
        next_step=NextStep.SIGN_AGAIN,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        401,
        "invalid_certificate",
        "The client certificate was not verified, or stands for no key.",
        next_step=NextStep.OTHER_CREDENTIAL,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        403,
        "network_not_allowed",
        "The credential is good, but not from this address: call from one of its networks.",
        next_step=NextStep.MORE_ACCESS,
        given_by=GivenBy.CALLERS,
    ),
    ErrorCode(
        403,
        "grant_exceeded",
        "The key has, or would have, more than the caller itself; the message names what.",
        next_step=NextStep.MORE_ACCESS,
        given_by=GivenBy.KEY_CHANGES,
    ),
)
