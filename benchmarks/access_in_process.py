"""Answers requests in this process, with authentication, limits and audit switched off in turn.

Django must be set up. The process uses the settings, the database, Redis and the store of a running server.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from io import BytesIO
from statistics import median
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.test.utils import override_settings
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from benchmarks.access import BARS, QUERY
from http_requests.received import call_in
from marketdata_project.front import door
from marketdata_project.front.application import DjangoHandler
from marketdata_project.serve.warm import drop_request_signals, load_everything, tune_garbage_collector
from ratelimit.access.table import Access
from ratelimit.callers import Caller
from ratelimit.credentials.identify import Identity, identify
from ratelimit.keys.services import key_create
from ratelimit.limits.shared_limits import PREFETCH_ABOVE
from stats.ohlc.views import OhlcViewSet

_PARTS = ("authentication", "limits", "audit")
_SWITCHED_OFF = {"nothing": (), **{part: (part,) for part in _PARTS}, "all three": _PARTS}
_CALLS = 200
_TRIES = 5

Environ = dict[str, Any]
NewEnviron = Callable[[], Environ]
Handler = Callable[[Environ], Any]
# The handler to call, and a function that returns a context in which parts of the handler are replaced.
Variant = tuple[Handler, Callable[[], AbstractContextManager[None]]]


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return the microseconds of processor time of a request, by path (`drf`, `door`) and by part switched off."""
    key = _new_key()
    through_django = _django_variants(key)
    refresh = through_django["nothing"][0]
    environ = _environ_with({"HTTP_X_API_KEY": key})
    return {
        "drf": _medians(through_django, environ, refresh, rounds),
        "door": _medians(_door_variants(key), environ, refresh, rounds),
    }


def _medians(
    variants: Mapping[str, Variant], environ: NewEnviron, refresh: Handler, rounds: int
) -> dict[str, float]:
    """Return the microseconds of a call of each variant: the median of all rounds except the first.

    Each round measures all variants.
    """
    by_variant: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds + 1):
        for name, variant in variants.items():
            by_variant[name].append(_microseconds(variant, environ, refresh))
    return {name: median(microseconds[1:]) for name, microseconds in by_variant.items()}


def _microseconds(variant: Variant, environ: NewEnviron, refresh: Handler) -> float:
    """Return the microseconds of processor time of a call. Raises SystemExit if calls are not answered 200."""
    handler, switch_off = variant
    for _ in range(_TRIES):
        requests = [environ() for _ in range(_CALLS)]
        # Renew the cached answer, because the front door leaves a call to Django if its answer has expired.
        refresh(environ())
        with switch_off():
            began = time.process_time_ns()
            answers = [handler(request) for request in requests]
            spent = time.process_time_ns() - began
        if all(answer and getattr(answer, "status_code", 200) == 200 for answer in answers):
            return spent / _CALLS / 1000
    raise SystemExit("some requests were not answered")


@contextmanager
def _replaced(*attributes: tuple[Any, str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, value in attributes:
            stack.enter_context(patch.object(owner, name, value))
        yield


def _django_variants(key: str) -> dict[str, Variant]:
    recorded, unrecorded = _django_handler(recorded=True), _django_handler(recorded=False)
    authenticator = type("KnownCaller", (_KnownCaller,), {"caller": _caller(key)})
    replacements = {
        "authentication": (OhlcViewSet, "authentication_classes", [authenticator]),
        "limits": (OhlcViewSet, "throttle_classes", []),
    }
    return {
        name: (
            unrecorded if "audit" in parts else recorded,
            partial(_replaced, *(replacements[part] for part in parts if part in replacements)),
        )
        for name, parts in _SWITCHED_OFF.items()
    }


def _door_variants(key: str) -> dict[str, Variant]:
    front, caller = door.FrontDoor(), _caller(key)
    admission = door.admit_call(call_in(_environ_with({})()), caller, Access("market:read"))
    replacements = {
        "authentication": (door, "identify", lambda *_, **__: Identity(caller)),
        "limits": (door, "admit_call", lambda *_, **__: admission),
        "audit": (door, "call_record", lambda **_: None),
    }
    return {
        name: (front, partial(_replaced, *(replacements[part] for part in parts)))
        for name, parts in _SWITCHED_OFF.items()
    }


def _django_handler(*, recorded: bool) -> Handler:
    """Return Django's middleware and views as a web process has them, with or without the audit middleware."""
    middleware = [name for name in settings.MIDDLEWARE if recorded or not name.startswith("audit.")]
    with override_settings(MIDDLEWARE=middleware):
        handler = DjangoHandler()
    drop_request_signals()
    load_everything(handler)
    tune_garbage_collector()

    def answered(environ: Environ) -> Any:
        response = handler.respond(environ)
        response.close()
        return response

    return answered


class _KnownCaller(BaseAuthentication):
    """An authentication that always returns the same caller."""

    caller: Caller

    def authenticate(self, request: Request) -> tuple[Caller, None]:
        return self.caller, None


def _caller(key: str) -> Caller:
    identity = identify(call_in(_environ_with({"HTTP_X_API_KEY": key})()), now=timezone.now())
    assert identity is not None
    return identity.caller


def _environ_with(headers: Mapping[str, str]) -> NewEnviron:
    """Return a function that makes a new environ of the request for the cached bars. Django changes an environ."""
    template = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": BARS,
        "REQUEST_URI": f"{BARS}?{QUERY}",
        "QUERY_STRING": QUERY,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_X_CORRELATION_ID": "01975c1e-5d4f-7000-8000-000000000000",
        "wsgi.url_scheme": "http",
        **headers,
    }
    return lambda: {**template, "wsgi.input": BytesIO()}


def _new_key() -> str:
    """Return a new key. Its rate is the highest at which every request still asks Redis."""
    created = key_create(
        name="bench",
        actor="bench",
        now=timezone.now(),
        tier="internal",
        scopes=["market:read"],
        rate=PREFETCH_ABOVE,
    )
    return created.key
