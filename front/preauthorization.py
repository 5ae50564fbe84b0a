"""Admits large bodies and WebSocket handshakes, and records what the front refuses, without Django's middlewares."""

from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request

from audit.recording.middleware import is_api_call
from audit.services import call_record, call_spool
from front.application import RefusedCall
from marketdata_project.browsers import is_own_origin
from marketdata_project.plain_http import HTTPS_REQUIRED, name_exposed
from ratelimit.authorize import authorize, check_limits
from ratelimit.callers import Caller
from ratelimit.credentials.authentication import SessionAuthentication
from ratelimit.credentials.identify import identify, use_nonce
from ratelimit.limits.services import admit_address, admit_call
from web.correlation import ENVIRON_NAME
from web.endpoints import access_of, endpoint_at
from web.requests.received import call_in
from web.requests.wsgi_variables import CALLER, VERIFIED_SIGNATURE


def authorize_large_body(environ: MutableMapping[str, Any]) -> str | None:
    """Authenticate, authorize and charge the caller by the headers or the session; return its identity, or None if one fails.

    Then Django answers with the reason. The admission and the verified signature are left in the environ, so that
    Django neither charges nor verifies again, and the caller's identity, for the record. Raises DatabaseError.
    """
    if not is_accepted_transport(environ):
        return None
    call = call_in(environ)
    endpoint = endpoint_at(call.path)
    try:
        identity = identify(call, now=datetime.now(UTC))
        caller = _caller_of_session(environ) if identity is None else identity.caller
        if caller is None or endpoint is None:
            return None
        if identity is not None and identity.signature is not None:
            # Use up the nonce before charging: otherwise replayed headers would spend the caller's tokens.
            environ[VERIFIED_SIGNATURE] = use_nonce(identity).signature
        environ[CALLER] = caller.identity
        access, charge = access_of(endpoint.func, call.method), partial(admit_call, environ)
        authorize(caller, access, charge, arguments=endpoint.kwargs, charges_refused=False)
    except APIException:
        return None
    return caller.identity


def _caller_of_session(environ: MutableMapping[str, Any]) -> Caller | None:
    """Return the caller of a browser's session, whose CSRF token must be in a header. Raises PermissionDenied."""
    if settings.SESSION_COOKIE_NAME not in environ.get("HTTP_COOKIE", ""):
        return None
    # The body is not read yet, so no token is looked for in it.
    request = WSGIRequest({**environ, "wsgi.input": BytesIO(), "CONTENT_LENGTH": "0"})
    SessionMiddleware(lambda _: HttpResponse()).process_request(request)
    authenticated = SessionAuthentication().authenticate(Request(request))
    return None if authenticated is None else authenticated[0]


def is_accepted_transport(environ: MutableMapping[str, Any]) -> bool:
    """Return whether Django would neither refuse a request's host nor redirect it to https."""
    request = WSGIRequest({"wsgi.input": BytesIO(), **environ})
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return request.is_secure() or not settings.SECURE_SSL_REDIRECT


def check_handshake(environ: MutableMapping[str, Any]) -> None:
    """Refuse a WebSocket over plain HTTP, of another host, or to a page of another origin, and charge its address.

    Raises PermissionDenied, LimitReached.
    """
    if is_accepted_transport(environ) and is_own_origin(environ):
        return
    check_limits(admit_address(call_in(environ).address))
    if settings.SECURE_SSL_REDIRECT and environ["wsgi.url_scheme"] != "https":
        name_exposed(environ, datetime.now(UTC))
        raise PermissionDenied(HTTPS_REQUIRED.message, HTTPS_REQUIRED.code)
    raise PermissionDenied(
        "the live feed is not served over this host, or not to pages of this origin", "forbidden"
    )


def record_refusal(call: RefusedCall) -> None:
    """Write the audit record of a refused API call, with its caller if that is known."""
    received = call_in(call.environ)
    if is_api_call(received.path):
        call_record(
            spool=call_spool(),
            call=received,
            at=datetime.now(UTC) - timedelta(microseconds=call.latency_us),
            caller=call.environ.get(CALLER, ""),
            status=call.status,
            latency_us=call.latency_us,
            correlation_id=call.environ[ENVIRON_NAME],
        )
