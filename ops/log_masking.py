"""Masks secrets in log lines: in message, arguments and traceback. No text of a client can look like a log line."""

import logging
import re
import sys
import threading
from functools import cache
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

from ops.masking import MASK, masked_text

# Characters of the shortest secret that is masked. Shorter secrets would occur in ordinary words.
_SHORTEST = 6
_SECRETS = ("SECRET_KEY", "SIGNING_SECRET", "AUDIT_KEY")
_URLS = ("DATABASE_URL", "REDIS_URL", "MARKET_STORE")

# The query string of a URL.
_QUERY = re.compile(r"\?[^\s'\"<>]+")

logger = logging.getLogger(__name__)


class MaskingFormatter(logging.Formatter):
    """A formatter that masks the installation's secrets, query strings of URLs, and texts that look like credentials.

    A record is one line and its indented traceback, so that no text in it can look like another record.
    """

    def format(self, record: logging.LogRecord) -> str:
        first_line, *other_lines = masked(super().format(record)).splitlines() or [""]
        return "\n".join([first_line, *(f"  {line}" for line in other_lines)])

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the name is logging's
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)


def masked(text: str) -> str:
    """Return the text with secrets and query strings of URLs masked."""
    for secret in own_secrets():
        text = text.replace(secret, MASK)
    return _QUERY.sub(f"?{MASK}", masked_text(text))


@cache
def own_secrets() -> tuple[str, ...]:
    """Return the secrets in the settings, the longest first. A URL's password is listed as written and unquoted."""
    values = {str(getattr(settings, name, "")) for name in _SECRETS}
    values.update(getattr(settings, "SECRET_KEY_FALLBACKS", []))
    for name in _URLS:
        password = urlsplit(getattr(settings, name, "")).password or ""
        values.update((password, unquote(password)))
    values.update(settings.SOURCE_KEYS.values())
    # Some vendors' keys are an id and a secret.
    values.update(key.partition(":")[2] for key in settings.SOURCE_KEYS.values())
    return tuple(sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True))


def log_uncaught() -> None:
    """Log uncaught exceptions, masked, instead of printing them. Errors of logging itself are dropped."""
    logging.raiseExceptions = False
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(
    error_class: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(error_class, KeyboardInterrupt):
        return
    logger.critical("uncaught error", exc_info=(error_class, error, traceback))


def _log_uncaught_in_thread(arguments: Any) -> None:
    if arguments.exc_type is SystemExit or arguments.exc_value is None:
        return
    error = arguments.exc_value
    logger.critical("uncaught error in a thread", exc_info=(type(error), error, error.__traceback__))
