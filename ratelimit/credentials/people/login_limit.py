"""How often one may try to log in.

A password costs a third of a second of processor time to look at, whoever sends it.
"""

import hashlib
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from http_requests import addresses
from ratelimit.limits.services import admit_login
from ratelimit.limits.throttles import LimitReached

# Of one name, from wherever: enough that a stranger does not easily keep its owner out.
_NAME_TIMES_ADDRESS = 5


class LoginLimit:
    """The first of AUTHENTICATION_BACKENDS: knows nobody, and limits attempts.

    It charges each attempt to its address and to its name. So it holds for every form and endpoint with a
    password. Raises LimitReached.
    """

    def authenticate(self, request: HttpRequest | None, username: str | None = None, **_: Any) -> None:
        """None: the next backend looks at the password."""
        if request is None:
            return
        address = addresses.identity_of(request.META.get("REMOTE_ADDR", ""))
        _charge(f"login-address:{address}", settings.LOGIN_RATE)
        if username:
            # A name may be a password that went into the wrong field.
            name = hashlib.sha256(username.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            _charge(f"login-name:{name}", settings.LOGIN_RATE * _NAME_TIMES_ADDRESS)


def _charge(identity: str, rate: int) -> None:
    admission = admit_login(identity, rate)
    if not admission.admitted:
        raise LimitReached(admission)
