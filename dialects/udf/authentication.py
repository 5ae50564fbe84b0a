"""The caller of a call without a credential: the key that the setting `UDF_KEY` names, by its prefix."""

from datetime import UTC, datetime

from django.conf import settings
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from ratelimit.authorize import check_limits
from ratelimit.callers import Caller
from ratelimit.credentials.authentication import CredentialAuthentication, SessionAuthentication
from ratelimit.credentials.identify import caller_of_stored_key
from ratelimit.keys.selectors import key_cache
from ratelimit.limits.services import admit_address
from web.requests.received import call_in
from web.requests.wsgi_variables import ANSWERING_KEY


class UdfAuthentication(CredentialAuthentication):
    """Authentication by a credential, a session, or the key that answers for calls without either. Off without `UDF_KEY`."""

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        if not settings.UDF_KEY:
            raise NotFound
        found = super().authenticate(request) or SessionAuthentication().authenticate(request)
        return found or _answering(request)


def _answering(request: Request) -> tuple[Caller, None] | None:
    """Return the caller of the key that answers, as if the call had the key; None if there is no such key.

    Each call takes a token of its address, too, so that no address has all of the key's. Raises LimitReached.
    """
    meta = request._request.META  # noqa: SLF001 DRF's own way to the request
    key = key_cache.find(settings.UDF_KEY.removeprefix("md_"), by="prefix")
    if key is None:
        return None
    address = call_in(meta).address
    check_limits(admit_address(address))
    caller = caller_of_stored_key(key, address=address, now=datetime.now(UTC))
    # The event loop finds keys by digest. Another process may have rotated the key since, so its caller is not that of a secret.
    key_cache.find(key.digests[0])
    meta[ANSWERING_KEY] = key.digests[0]
    return caller, None
