"""What is logged holds no secret, in whatever part of a record it came, and no line that somebody else has written."""

import io
import logging
import logging.config
import secrets
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from django.conf import settings as real

from ops import log_masking
from web.correlation import correlated

KEY = f"md_abcdefgh_{secrets.token_urlsafe(32)}"
OWN = secrets.token_urlsafe(64)


@pytest.fixture
def own(settings) -> Iterator[None]:
    settings.SECRET_KEY, settings.SIGNING_SECRET = OWN, OWN[::-1]
    settings.DATABASE_URL = "postgres://user:open%20sesame@host/database"
    settings.REDIS_URL = "redis://:swordfish@127.0.0.1/0"
    log_masking.own_secrets.cache_clear()
    yield
    log_masking.own_secrets.cache_clear()


@pytest.fixture
def log(own) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger with the project's own handler, and what it has written."""
    handler = logging.StreamHandler(stream := io.StringIO())
    declared: Any = real.LOGGING
    configured = logging.config.DictConfigurator(declared)
    handler.setFormatter(configured.configure_formatter(dict(declared["formatters"]["line"])))
    handler.addFilter(configured.configure_filter(dict(declared["filters"]["correlation"])))
    logger = logging.getLogger("tests.log_masking")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True


def fail(text: str) -> NoReturn:
    """An error after an error, both with a text."""
    raise RuntimeError(f"while at {text}") from KeyError(text)


SECRETS = [KEY, OWN, OWN[::-1], "open sesame", "open%20sesame", "swordfish"]


@pytest.mark.parametrize("secret", SECRETS, ids=["key", "own", "reversed", "words", "quoted", "word"])
def test_a_secret_is_masked_wherever_it_stands(log, secret):
    logger, stream = log
    logger.error("said %s", secret)
    logger.error("said %s" % secret)  # noqa: UP031, G002 as a library might
    logger.error({"headers": {"x-api-key": secret}})
    try:
        fail(secret)
    except RuntimeError:
        logger.exception("failed at %s", secret)
    with correlated(f"id-{secret}"):
        logger.warning("of a request")
    written = stream.getvalue()
    assert secret not in written
    assert written.count("***") >= 7
    assert "KeyError" in written
    assert "test_log_masking.py" in written


def test_no_text_becomes_a_record_of_its_own(log):
    logger, stream = log
    forged = "2026-01-01 00:00:00,000 ERROR root [-] forged"
    for end in ("\n", "\r\n", "\r", "\x0b", "\x85", "\u2028"):
        logger.error("said %s", f"a{end}{forged}")
        try:
            fail(f"a{end}{forged}")
        except RuntimeError:
            logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert not [line for line in lines if line.startswith(forged)]
    assert len([line for line in lines if not line.startswith("  ")]) == 12


def test_what_nobody_catches_is_logged_and_masked(log, monkeypatch):
    logger, stream = log
    monkeypatch.setattr(log_masking, "logger", logger)
    for module in (sys, threading):
        monkeypatch.setattr(module, "excepthook", module.excepthook)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    log_masking.log_uncaught()

    thread = threading.Thread(target=fail, args=[KEY])
    thread.start()
    thread.join()
    try:
        fail(KEY)
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    assert stream.getvalue().count("RuntimeError: while at ***") == 2
    assert KEY not in stream.getvalue()


def test_all_handlers_of_the_settings_mask():
    declared: Any = real.LOGGING
    assert {handler["formatter"] for handler in declared["handlers"].values()} == {"line"}
    assert declared["formatters"]["line"]["()"] == "ops.log_masking.MaskingFormatter"
