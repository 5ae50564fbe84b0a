"""The endpoints of keys, and the filters and pages of their list."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from audit.recording.audit_first import change_and_record
from audit.services import EventRecorder
from ratelimit.callers import Caller
from ratelimit.entitlements import TIERS
from ratelimit.keys.grants import check_covers
from ratelimit.keys.selectors import in_state, key_document, key_visible, keys_visible
from ratelimit.keys.serializers import (
    KeySerializer,
    NewKeyAnswerSerializer,
    NewKeySerializer,
    RotationSerializer,
)
from ratelimit.keys.services import key_create, key_revoke, key_rotate
from ratelimit.models import STATES, ApiKey
from web.endpoints import WRITE, Access
from web.idempotency.answers import IDEMPOTENCY_KEY, REPLAYED, answer_once, keyed_call
from web.lists.filters import choice_filter
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet
from web.requests.json_fields import JsonObject
from web.requests.parameters import is_true
from web.requests.parsers import request_document

_ID = OpenApiParameter(
    "key",
    {"type": "integer", "minimum": 1, "examples": [12]},
    OpenApiParameter.PATH,
    description="The key's id.",
)
_ONLY_OLD = OpenApiParameter(
    "only_old",
    {"type": "boolean", "default": False},
    OpenApiParameter.QUERY,
    description="Whether to end only the secret before the last rotation; the key stays.",
)
_NOT_STORED = {"Cache-Control": "no-store"}


class KeyPagination(KeysetPagination):
    """Pages of keys, ordered by id."""

    rows_name = "keys"
    by = "id"
    sort_description = "By id, oldest first."


class KeyFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    tier = choice_filter(tuple(TIERS), "The key's tier.")
    state = choice_filter(STATES, "The key's state.", method="of_state")
    name = django_filters.CharFilter(
        lookup_expr="istartswith", max_length=100, help_text="The beginning of the key's name."
    )
    prefix = django_filters.CharFilter(max_length=8, help_text="The key's prefix: `md_<prefix>_…`.")
    owner = django_filters.CharFilter(max_length=100, help_text="The key's owner, such as `key:3`.")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = ()

    def of_state(self, keys: QuerySet[ApiKey], _: str, state: str) -> QuerySet[ApiKey]:
        return in_state(keys, state)


_READS = Access("keys:manage", or_scope="keys:admin", sensitivity="confidential", group="access")
_CHANGES = replace(_READS, kind=WRITE, audit_class="keys")


class KeysViewSet(ListViewSet[ApiKey]):
    """The keys that the caller may see (`keys_visible`)."""

    tag = "access"
    access = {
        "list": replace(_READS, cost="page"),
        "create": _CHANGES,
        "rotate": replace(_CHANGES, own_key="key"),
        "retrieve": _READS,
        "destroy": _CHANGES,
    }
    verbs = {"destroy": "revoke"}
    bodies = {"create": NewKeySerializer, "rotate": RotationSerializer}
    answers = {
        "list": KeySerializer,
        "create": NewKeyAnswerSerializer,
        "retrieve": KeySerializer,
        "destroy": KeySerializer,
        "rotate": {201: NewKeyAnswerSerializer},
    }
    common_parameters = (_ID,)
    parameters = {"create": [IDEMPOTENCY_KEY], "destroy": [_ONLY_OLD], "rotate": [IDEMPOTENCY_KEY]}
    queryset = ApiKey.objects.all()
    filterset_class = KeyFilter
    pagination_class = KeyPagination

    def list(self, request: Request) -> Response:
        """List keys. The keys that the caller owns, and its own; with `keys:admin` all. Without their secrets."""
        return self.answer_page(partial(key_document, now=timezone.now()), keys_visible(_caller(request)))

    def create(self, request: Request) -> Response:
        """Create a key. Its secrets are only in this answer. Its grants are at most the caller's."""
        terms, by, owner = self.body(), _by(request), _caller(request).identity

        def create(now: datetime, record: EventRecorder) -> JsonObject:
            return key_create(**terms, **by, owner=owner, now=now, record=record).document(now=now)

        return self._create_once(request, create)

    def retrieve(self, request: Request, key: str) -> Response:
        """Get a key. A key that the caller owns, or its own; with `keys:admin` any. Without its secrets."""
        stored = key_visible(_caller(request), key)
        return Response(key_document(stored, now=timezone.now()), headers=_NOT_STORED)

    def destroy(self, request: Request, key: str) -> Response:
        """Revoke a key. It ends everywhere within a second, with both secrets while a rotation's overlap lasts.

        The key stays in the list. A second call changes nothing.
        """
        only_old = is_true(self.query, "only_old")
        now, stored = timezone.now(), key_visible(_caller(request), key)

        def write(record: EventRecorder) -> Response:
            key_revoke(key=stored, now=now, only_old=only_old, record=record, **_by(request))
            revoked = key_visible(_caller(request), key)
            return Response(key_document(revoked, now=now), headers=_NOT_STORED)

        return change_and_record(self, write)

    def rotate(self, request: Request, key: str) -> Response:
        """Rotate a key.

        Give a key another secret. It keeps its id. The old secret stays valid for the overlap, by default a day.

        A key may rotate itself without scope and clearance. `GET /limits` has its id.
        """
        serializer = RotationSerializer(data=request_document(request) if request.stream is not None else {})
        serializer.is_valid(raise_exception=True)
        stored = key_visible(_caller(request), key)
        overlap, by = timedelta(seconds=serializer.validated_data["overlap_seconds"]), _by(request)

        def create(now: datetime, record: EventRecorder) -> JsonObject:
            return key_rotate(key=stored, overlap=overlap, now=now, record=record, **by).document(now=now)

        return self._create_once(request, create)

    def _create_once(
        self, request: Request, create: Callable[[datetime, EventRecorder], JsonObject]
    ) -> Response:
        """Return the answer with a new key; the stored answer if the Idempotency-Key was used before."""
        now, call = timezone.now(), keyed_call(request, request.data if request.stream is not None else {})

        def write(record: EventRecorder) -> Response:
            if call is None:
                return Response(create(now, record), status=HTTPStatus.CREATED, headers=_NOT_STORED)
            document, is_replayed = answer_once(call, lambda: create(now, record), now=now)
            if is_replayed:
                # A token with few scopes shares the Idempotency-Keys of its key.
                check_covers(_caller(request), key_visible(_caller(request), str(document["id"])))
            headers = {**_NOT_STORED, **(REPLAYED if is_replayed else {})}
            return Response(document, status=HTTPStatus.CREATED, headers=headers)

        return change_and_record(self, write)


def _caller(request: Request) -> Caller:
    """Return the caller, whom the permission class has checked."""
    caller = request.user
    assert isinstance(caller, Caller)  # noqa: S101 the rows of the endpoints admit nobody else
    return caller


def _by(request: Request) -> dict[str, Any]:
    """Return the arguments of the services that name the caller and the request."""
    caller = _caller(request)
    correlation_id = getattr(request, "correlation_id", "")
    return {"actor": caller.identity, "within": caller, "correlation_id": correlation_id}
