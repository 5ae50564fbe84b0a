"""How each part of access is switched off: on the path through Django and at the front door."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.test.utils import override_settings
from django.utils import timezone
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from benchmarks.access_parts import AUDIT, AUTHENTICATION, OFF, THROTTLE, Environ, environ_with, replaced
from http_requests.received import call_in
from marketdata_project.front import door
from marketdata_project.front.application import DjangoHandler
from marketdata_project.serve.warm import drop_request_signals, load_everything, tune_garbage_collector
from ratelimit.access.table import Access
from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity, identify
from ratelimit.credentials.people.sessions import session_begin
from ratelimit.keys.api_keys import digest, signing_secret
from ratelimit.keys.services import key_create
from ratelimit.limits.prefetched_tokens import PREFETCH_ABOVE
from ratelimit.models import AccessProfile
from stats.ohlc.views import OhlcViewSet

Switches = dict[str, tuple[Callable[[Environ], Any], Callable[[], AbstractContextManager[None]]]]


def new_key(**terms: Any) -> str:
    """A key of the highest rate at which every request asks Redis."""
    grants = {"tier": "internal", "scopes": ["market:read"], "rate": PREFETCH_ABOVE, **terms}
    return key_create(name="bench", actor="bench", now=timezone.now(), **grants).key


def drf_switches(key: str) -> Switches:
    """The handler to call and what to replace meanwhile, by what is switched off."""
    whole, unrecorded = _handler(recorded=True), _handler(recorded=False)
    known = type("Known", (_Known,), {"caller": _caller(key)})
    off = {
        AUTHENTICATION: (OhlcViewSet, "authentication_classes", [known]),
        THROTTLE: (OhlcViewSet, "throttle_classes", []),
    }
    return {
        "nothing": (whole, nullcontext),
        **{
            name: (
                unrecorded if AUDIT in parts else whole,
                partial(replaced, *(off[part] for part in parts if part in off)),
            )
            for name, parts in OFF.items()
        },
    }


def door_switches(key: str) -> Switches:
    """The door, and what to replace in it meanwhile, by what is switched off."""
    front = door.FrontDoor()
    caller, call = _caller(key), call_in(environ_with({})())
    admission = door.admit_call(call, caller, Access("market:read"))
    off: dict[str, list[tuple[Any, str, Any]]] = {
        AUTHENTICATION: [
            (door, "identify", lambda *_, **__: Identity(caller)),
        ],
        THROTTLE: [(door, "admit_call", lambda *_, **__: admission)],
        AUDIT: [(door, "call_record", lambda **_: None)],
    }
    return {
        "nothing": (front, nullcontext),
        **{
            name: (front, partial(replaced, *(place for part in parts for place in off[part])))
            for name, parts in OFF.items()
        },
    }


def credentials(key: str) -> dict[str, Callable[[], Environ]]:
    """What makes requests with each kind of credential."""
    metered = new_key(daily_quota=10**9, monthly_quota=10**10)
    return {
        "key": environ_with({"HTTP_X_API_KEY": key}),
        "key with quotas": environ_with({"HTTP_X_API_KEY": metered}),
        "JWT": environ_with({"HTTP_AUTHORIZATION": f"Bearer {_access_token()}"}),
        "signature": lambda: {**environ_with({})(), **_signature(key)},
    }


def _access_token() -> str:
    """Of a person with the same limits as the key."""
    password = token_urlsafe(24)
    user = User.objects.create_user("bench", password=password)
    AccessProfile.objects.create(user=user, tier="internal", scopes=["market:read"], rate=PREFETCH_ABOVE)
    return session_begin(username="bench", password=password, request=None, now=timezone.now()).access


@dataclass
class _Outgoing:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def _signature(key: str) -> dict[str, str]:
    """The headers of a signed request, each with a nonce of its own."""
    key_id, secret = key.split("_")[1], signing_secret(digest(key)).encode()
    keys = MappingKeyResolver(public_keys={}, private_keys={key_id: secret})
    environ = environ_with({})()
    message = _Outgoing("GET", f"http://{environ['HTTP_HOST']}{environ['REQUEST_URI']}")
    HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=keys).sign(
        message,
        key_id=key_id,
        created=timezone.now(),
        nonce=token_urlsafe(24),
        covered_component_ids=("@method", "@target-uri"),
    )
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in message.headers.items()}


class _Known(BaseAuthentication):
    """Always the same caller, without a look at the request."""

    caller: Caller

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        return self.caller, None


def _caller(key: str) -> Caller:
    identity = identify(call_in(environ_with({"HTTP_X_API_KEY": key})()), now=timezone.now())
    assert identity is not None
    return identity.caller


def _handler(*, recorded: bool) -> Callable[[Environ], Any]:
    """Django's whole chain as a web process has it, with or without the middleware that records."""
    chain = [name for name in settings.MIDDLEWARE if recorded or not name.startswith("audit.")]
    with override_settings(MIDDLEWARE=chain):
        handler = DjangoHandler()
    drop_request_signals()
    load_everything(handler)
    tune_garbage_collector()

    def answered(environ: Environ) -> Any:
        response = handler.respond(environ)
        response.close()
        return response

    return answered
