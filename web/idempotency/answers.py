"""Idempotency for POSTs that write to the database: all calls with the same Idempotency-Key get the same answer.

Answers may contain a new key's secrets, so they are stored encrypted, with a key derived from SECRET_KEY.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from web.idempotency.exceptions import AlreadyMade, IdempotencyKeyReused
from web.idempotency.models import SealedAnswer
from web.requests.exceptions import InvalidParameter
from web.requests.json_fields import JsonObject
from web.retention import beyond_newest
from web.sealing import decrypted, encrypted

REPLAYED = {"Idempotency-Replayed": "true"}
"""Headers of a replayed answer."""

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["7f0d3c52"]},
    OpenApiParameter.HEADER,
    description="For a day, requests with the same key get the same answer, with `Idempotency-Replayed: true`.",
)
# For how long answers are stored.
LIFETIME = timedelta(days=1)
# Of a caller's answers so many of the newest are kept.
MOST_ANSWERS = 100_000
_KEY = re.compile(r"[!-~]{1,255}")


def idempotency_key(request: Request) -> str | None:
    """Return the request's `Idempotency-Key`; None without one. Raises InvalidParameter."""
    return parse_key(request.headers.get("Idempotency-Key"))


def key_scope(request: Request) -> str:
    """Return the scope in which an Idempotency-Key is unique: `Caller.identity`."""
    return str(cast("Any", request.user).identity)


def parse_key(header: str | None) -> str | None:
    """Return the header's key: 1-255 visible ASCII characters, with or without quotes. None without a header.

    Raises InvalidParameter.
    """
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(key):
        raise InvalidParameter("invalid_idempotency_key", "Idempotency-Key is 1-255 visible ASCII characters")
    return key


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A call with an Idempotency-Key.

    body: the parsed document. query: the values of each query parameter; `format`, which changes only how the answer
    is written, is left out.
    """

    scope: str
    path: str
    key: str
    body: Any
    query: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the body and the query, in hex. The order of names does not matter."""
        return hashlib.sha256(msgspec.json.encode([self.body, self.query], order="sorted")).hexdigest()


def keyed_call(request: Request, body: Any) -> KeyedCall | None:
    """Return the request as a KeyedCall; None without an Idempotency-Key. Raises InvalidParameter."""
    key = idempotency_key(request)
    if key is None:
        return None
    query = {name: values for name, values in request.GET.lists() if name != "format"}
    return KeyedCall(key_scope(request), request.path.rstrip("/"), key, body, query)


def answer_once(call: KeyedCall, make: Callable[[], JsonObject], *, now: datetime) -> tuple[JsonObject, bool]:
    """Return the answer to a call, and whether an earlier call had stored it.

    The first call runs `make` in the transaction that stores the answer; if `make` raises, nothing is stored. A
    concurrent second call waits for the first. Raises IdempotencyKeyReused, AlreadyMade.
    """
    with transaction.atomic():
        answers_delete_expired(now=now)
        earlier = _store_or_find(call, now=now)
        if earlier is not None:
            return _answer(earlier, call), True
        answer = make()
        _rows_of(call).update(sealed=encrypted(msgspec.json.encode(answer), label=_LABEL))
        return answer, False


def answers_delete_expired(*, now: datetime) -> None:
    """Delete answers that are a day old or older."""
    SealedAnswer.objects.filter(created_at__lte=now - LIFETIME).delete()


def answers_delete_old(*, now: datetime) -> None:
    """Delete answers that are a day old or older, and each caller's oldest beyond MOST_ANSWERS."""
    answers_delete_expired(now=now)
    beyond_newest(SealedAnswer.objects.all(), holder="identity", most=MOST_ANSWERS).delete()


def _store_or_find(call: KeyedCall, *, now: datetime) -> SealedAnswer | None:
    """Store this call and return None. If a call with the same key was stored before, return its row instead."""
    try:
        with transaction.atomic():
            SealedAnswer.objects.create(fingerprint=call.fingerprint, created_at=now, **_columns_of(call))
    except IntegrityError:
        return _rows_of(call).get()
    return None


def _answer(earlier: SealedAnswer, call: KeyedCall) -> JsonObject:
    if earlier.fingerprint != call.fingerprint:
        raise IdempotencyKeyReused
    data = decrypted(earlier.sealed, label=_LABEL)
    if data is None:
        raise AlreadyMade
    answer: JsonObject = msgspec.json.decode(data)
    return answer


def _rows_of(call: KeyedCall) -> QuerySet[SealedAnswer]:
    return SealedAnswer.objects.filter(**_columns_of(call))


def _columns_of(call: KeyedCall) -> dict[str, str]:
    # Hashed, because a client may send a secret as its Idempotency-Key.
    key_hash = hashlib.sha256(call.key.encode()).hexdigest()
    return {"identity": call.scope, "path": call.path, "idempotency_key": key_hash}


_LABEL = b"marketdata sealed answers 1"
