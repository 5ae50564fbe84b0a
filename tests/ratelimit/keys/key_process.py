"""A process of its own over an installation's database, which looks at keys and changes them as it is told.

Commands and answers are JSON, one a line, on standard input and output.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import django

django.setup(set_prefix=False)

from ratelimit.exceptions import ExpiredApiKey, KeyAdministrationError, RateLimitError  # noqa: E402
from ratelimit.keys.selectors import key_named  # noqa: E402
from ratelimit.keys.services import key_create, key_revoke, key_rotate  # noqa: E402
from ratelimit.models import ApiKey  # noqa: E402
from tests.ratelimit.keys.key_callers import caller_by  # noqa: E402
from web.idempotency.answers import KeyedCall, answer_once  # noqa: E402

PAUSE_SECONDS = 0.002
AFTERWARDS_SECONDS = 0.3


def say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201


def now() -> datetime:
    return datetime.now(UTC)


def state(key: str) -> Any:
    try:
        return sorted(caller_by(key, now=now()).scopes)
    except RateLimitError as error:
        return error.code


def watch(*, key: str, patience: float) -> Any:
    """What a key was until shortly after that changed; for each state the time before it was last asked for, and after it was first told.

    Says that it watches when it has looked once.
    """
    asked_at = time.time()
    seen: list[Any] = [state(key)]
    last, first = {json.dumps(seen[0]): asked_at}, {}
    say({"watching": True})
    end = time.time() + patience
    while (asked_at := time.time()) < end:
        found = state(key)
        last[json.dumps(found)] = asked_at
        if seen[-1] != found:
            seen.append(found)
            first[json.dumps(found)] = time.time()
            end = min(end, asked_at + AFTERWARDS_SECONDS)
        time.sleep(PAUSE_SECONDS)
    return {"seen": seen, "last": last, "first": first}


def create() -> Any:
    made = key_create(name="feed", scopes=["market:read", "market:write"], now=now(), actor="test")
    return {"id": made.id, "key": made.key}


def create_once(*, idempotency_key: str, at: float) -> Any:
    """A key, made at a time at which others make it, too."""
    time.sleep(max(0.0, at - time.time()))
    call = KeyedCall(scope="key:1", path="/keys", key=idempotency_key, body={})
    answer, is_replayed = answer_once(call, create, now=now())
    return {"id": answer["id"], "replayed": is_replayed}


def revoke(*, key_id: int) -> Any:
    key_revoke(key=key_named(str(key_id)), now=now(), actor="test")
    return {"at": time.time()}


def end_overlap(*, key_id: int) -> Any:
    """Rotate a key and end its old secret early."""
    key = key_named(str(key_id))
    created = key_rotate(key=key, overlap=timedelta(hours=1), now=now(), actor="test")
    key_revoke(key=created.stored, only_old=True, now=now(), actor="test")
    return {"at": time.time()}


def rotate(*, key_id: int, overlap: float, at: float = 0.0, by: str | None = None) -> Any:
    """When a key's end was stored, and when that end is; or why it was not rotated. `by` is the key that asks."""
    key = key_named(str(key_id))
    try:
        within = None if by is None else caller_by(by, now=now())
    except ExpiredApiKey:  # another process was faster
        return {"refused": "not_rotatable"}
    time.sleep(max(0.0, at - time.time()))
    began = now()
    try:
        key_rotate(key=key, overlap=timedelta(seconds=overlap), now=began, actor="test", within=within)
    except KeyAdministrationError as error:
        return {"refused": error.code}
    return {"at": time.time(), "end": began.timestamp() + overlap}


def narrow(*, key_id: int) -> Any:
    """Take a scope away."""
    ApiKey.objects.filter(pk=key_id).update(scopes=["market:read"])
    return {"at": time.time()}


COMMANDS = {
    command.__name__: command
    for command in (
        watch,
        create,
        create_once,
        revoke,
        end_overlap,
        rotate,
        narrow,
    )
}

for line in sys.stdin:
    asked = json.loads(line)
    say(COMMANDS[asked.pop("do")](**asked))
