"""Which credential a request exposes that came over plain HTTP."""

from datetime import datetime

from http_requests.received import ReceivedCall
from ratelimit.credentials.bearer import caller_of_bearer
from ratelimit.exceptions import CredentialError
from ratelimit.keys.api_keys import digest, prefix_of, presented_key
from ratelimit.keys.selectors import known_keys


def exposed_credential(call: ReceivedCall, *, now: datetime) -> str | None:
    """Name the good key or token in a call's headers, without its secret; None if there is none.

    A signature is not named: it does not show the secret that made it.
    """
    authorization = call.headers.get("authorization")
    try:
        key = presented_key(authorization=authorization, x_api_key=call.headers.get("x-api-key"))
        if key is not None:
            known = known_keys.find(digest(key))
            return None if known is None or known.revoked_at else f"the API key md_{prefix_of(key)}"
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return f"a token of {caller_of_bearer(token.strip(), now=now).identity}"
    except CredentialError:
        return None
