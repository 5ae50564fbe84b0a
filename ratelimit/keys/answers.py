"""One answer to all calls with the same Idempotency-Key, also where it shows what is shown once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from ratelimit.exceptions import AlreadyMade, IdempotencyKeyReused
from ratelimit.keys.sealing import opened, seal
from ratelimit.models import SealedAnswer

KEPT = timedelta(days=1)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what with which Idempotency-Key; `body` is the decoded one.

    `family` is the caller's: who asks again may have rotated itself since, and goes on as its successor.
    """

    family: str
    path: str
    idempotency_key: str
    body: Any

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(orjson.dumps(self.body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def answer_once(call: Call, make: Callable[[], Document], *, now: datetime) -> tuple[Document, bool]:
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


def _begun(call: Call, *, now: datetime) -> SealedAnswer | None:
    """The earlier call's answer; None where this one is the first, which is noted."""
    try:
        with transaction.atomic():
            SealedAnswer.objects.create(fingerprint=call.fingerprint, created_at=now, **_names(call))
    except IntegrityError:
        return _of(call).get()
    return None


def _answer(kept: SealedAnswer, call: Call) -> Document:
    if kept.fingerprint != call.fingerprint:
        raise IdempotencyKeyReused("the Idempotency-Key came with another body before")
    data = opened(kept.sealed)
    if data is None:
        raise AlreadyMade(
            "the key was made before, and SECRET_KEY is another one since; look it up in the list"
        )
    answer: Document = orjson.loads(data)
    return answer


def _of(call: Call) -> QuerySet[SealedAnswer]:
    return SealedAnswer.objects.filter(**_names(call))


def _names(call: Call) -> dict[str, str]:
    # A client may have sent a secret as its key, so only the hash is kept.
    key_hash = hashlib.sha256(call.idempotency_key.encode()).hexdigest()
    return {"identity": call.family, "path": call.path, "idempotency_key": key_hash}
