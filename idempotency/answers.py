"""One answer to all calls with the same Idempotency-Key, of POSTs whose truth is the database.

It may show what is shown once: it is kept sealed.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from rest_framework.request import Request

from idempotency.exceptions import AlreadyMade, IdempotencyKeyReused
from idempotency.models import SealedAnswer
from idempotency.request_key import idempotency_key, key_scope
from idempotency.sealing import opened, seal

KEPT = timedelta(days=1)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A call with an Idempotency-Key: in whose name, to which path, and its decoded body."""

    scope: str
    path: str
    key: str
    body: Any

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the body, in hex; the order of its names does not matter."""
        return hashlib.sha256(orjson.dumps(self.body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def keyed_call(request: Request, body: Any) -> KeyedCall | None:
    """The call that a request makes with this decoded body; None without an Idempotency-Key.

    Raises `InvalidParameter`.
    """
    key = idempotency_key(request)
    return None if key is None else KeyedCall(key_scope(request), request.path.rstrip("/"), key, body)


def answer_once(call: KeyedCall, make: Callable[[], Document], *, now: datetime) -> tuple[Document, bool]:
    """The answer to a call, and whether it is that of an earlier one.

    `make` is called at most once, within the same transaction. A refusal, which `make` raises, is not kept.
    Of two calls at a time the second waits for the first. Raises IdempotencyKeyReused, AlreadyMade.
    """
    with transaction.atomic():
        answers_forget(now=now)
        kept = _begun(call, now=now)
        if kept is not None:
            return _answer(kept, call), True
        made = make()
        _of(call).update(sealed=seal(orjson.dumps(made)))
        return made, False


def answers_forget(*, now: datetime) -> None:
    """Delete the answers that were kept for long enough."""
    SealedAnswer.objects.filter(created_at__lte=now - KEPT).delete()


def _begun(call: KeyedCall, *, now: datetime) -> SealedAnswer | None:
    """The earlier call's answer; None where this one is the first, which is noted."""
    try:
        with transaction.atomic():
            SealedAnswer.objects.create(fingerprint=call.fingerprint, created_at=now, **_names(call))
    except IntegrityError:
        return _of(call).get()
    return None


def _answer(kept: SealedAnswer, call: KeyedCall) -> Document:
    if kept.fingerprint != call.fingerprint:
        raise IdempotencyKeyReused
    data = opened(kept.sealed)
    if data is None:
        raise AlreadyMade
    answer: Document = orjson.loads(data)
    return answer


def _of(call: KeyedCall) -> QuerySet[SealedAnswer]:
    return SealedAnswer.objects.filter(**_names(call))


def _names(call: KeyedCall) -> dict[str, str]:
    # A client may have sent a secret as its key, so only the hash is kept.
    key_hash = hashlib.sha256(call.key.encode()).hexdigest()
    return {"identity": call.scope, "path": call.path, "idempotency_key": key_hash}
