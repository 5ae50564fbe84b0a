"""What the worker does by itself, as data: what, how often, and again how soon after an error."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import close_old_connections
from django.utils import timezone

from audit.chain.prune import retention_keep
from audit.services import spool_collect
from idempotency.answers import answers_forget
from marketdata_project.serve.measures import counted_duty
from ratelimit.credentials.signatures.nonces import nonces_forget
from ratelimit.keys.expiry import keys_watch
from ratelimit.limits.quotas.book import quotas_forget_old

logger = logging.getLogger(__name__)

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Duty:
    """A service that takes `now`. Spans are in seconds."""

    work: Callable[..., object]
    every: float
    after_error: float = MINUTE


DUTIES = (
    Duty(spool_collect, every=SECOND, after_error=SECOND),
    Duty(nonces_forget, every=SECOND, after_error=SECOND),
    Duty(keys_watch, every=HOUR),
    Duty(answers_forget, every=HOUR),
    Duty(quotas_forget_old, every=HOUR),
    Duty(retention_keep, every=HOUR),
)


@dataclass(slots=True)
class Rota:
    """When each duty is due; all of them are at the beginning. `clock` is monotonic, in seconds."""

    duties: Iterable[Duty] = DUTIES
    clock: Callable[[], float] = time.monotonic
    _due: dict[Duty, float] = field(default_factory=dict)

    def round(self) -> None:
        """Do what is due. An error ends that duty, not the round."""
        for duty in self.duties:
            if self.clock() >= self._due.get(duty, float("-inf")):
                is_done = _done(duty)
                self._due[duty] = self.clock() + (duty.every if is_done else duty.after_error)


def _done(duty: Duty) -> bool:
    try:
        with counted_duty(duty.work.__name__):
            duty.work(now=timezone.now())
    except Exception:
        logger.exception("The worker's duty %s failed; it is tried again", duty.work.__name__)
        return False
    else:
        return True
    finally:
        close_old_connections()
