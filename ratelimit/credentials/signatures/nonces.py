"""Nonces of signed requests.

Which were used is known to the database alone, so that no restart and no Redis forgets it.
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from ratelimit.exceptions import NonceUsed
from ratelimit.models import UsedNonce

# Longer than any signature holds: a clock that is wrong by less than that lets no replay in, neither one that
# was set back before the nonce was removed nor that of whoever removes them.
KEPT_LONGER = timedelta(hours=1)
MOST_AT_ONCE = 5_000


def nonce_use(*, identity: str, nonce: str, useless_at: datetime) -> None:
    """Use a nonce up; `useless_at` is when no signature with it holds any more. Raises NonceUsed.

    Whoever's row the database takes first has used it. That is committed at once, whatever becomes of the
    request, and therefore outside of any other transaction.
    """
    try:
        with transaction.atomic(durable=True):
            UsedNonce.objects.create(identity=identity, nonce=nonce, expires_at=useless_at + KEPT_LONGER)
    except IntegrityError:
        raise NonceUsed("the nonce was used before; sign again with another one") from None


def nonces_forget(*, now: datetime) -> int:
    """How many nonces were removed that nobody needs any more, at most MOST_AT_ONCE.

    Called again, it removes further ones.
    """
    expired = UsedNonce.objects.filter(expires_at__lt=now)
    if not expired.exists():
        return 0
    removed, _ = UsedNonce.objects.filter(pk__in=expired.values("pk")[:MOST_AT_ONCE]).delete()
    return removed
