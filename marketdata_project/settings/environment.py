"""Reads environment variables. Only this package reads them."""

import json
import os
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from math import inf
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

# The fewest characters, and the fewest different characters, that Django's check of SECRET_KEY accepts (security.W009).
SHORTEST_SECRET = 50
FEWEST_DISTINCT_CHARACTERS = 5
_NOT_SECRET = ("django-insecure-", "changeme", "change-me")

env = environ.Env()
# The files that secrets were read from, by the name of their variable.
SECRET_FILES: dict[str, Path] = {}


def integer(name: str, default: int, *, least: float = -inf, most: float = inf) -> int:
    """Return the variable as a whole number from `least` to `most`. Raises ImproperlyConfigured, which names the variable."""
    try:
        value = int(env.int(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a whole number: {os.environ[name]!r}") from error
    if not least <= value <= most:
        raise ImproperlyConfigured(
            f"{name} is {value}; it must be {least} or more" + (f", at most {most}" if most < inf else "")
        )
    return value


def networks(name: str, *, default: str = "") -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks and addresses in a comma-separated variable. Raises ImproperlyConfigured, which names it."""
    texts = [text.strip() for text in env.str(name, default).split(",")]
    try:
        found = tuple(ip_network(text) for text in texts if text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error
    of_v4 = collapse_addresses(each for each in found if isinstance(each, IPv4Network))
    of_v6 = collapse_addresses(each for each in found if isinstance(each, IPv6Network))
    joined: list[IPv4Network | IPv6Network] = [*of_v4, *of_v6]
    if any(network.prefixlen == 0 for network in joined):
        raise ImproperlyConfigured(f"{name}: {', '.join(texts)} covers all addresses; list the networks")
    return found


def json_object(name: str) -> dict[str, Any]:
    """Return the JSON object in a variable; {} if it is not set. Raises ImproperlyConfigured.

    The error does not quote it: somebody may have put a key there.
    """
    try:
        document = json.loads(env.str(name, "{}"))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ImproperlyConfigured(f"{name} is not a JSON object")
    return document


def secret(name: str) -> str:
    """Return the secret in the variable `name`, or in the file that `name`_FILE names; "" if neither is set.

    Raises ImproperlyConfigured if both are given, or the file cannot be read.
    """
    # `env` would take a secret that begins with $ for the name of another variable.
    file, value = os.environ.get(f"{name}_FILE", ""), os.environ.get(name, "")
    if not file:
        return value
    if value:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; leave one of them out")
    SECRET_FILES[f"{name}_FILE"] = Path(file)
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {type(error).__name__}") from error


def required_secret(name: str) -> str:
    """Return the secret of that name. Raises ImproperlyConfigured if it is missing or could be guessed."""
    value = secret(name)
    if not value:
        raise ImproperlyConfigured(
            f"{name} (or {name}_FILE) is not set, and production does not start without it"
        )
    return checked_secret(name, value)


def secrets_list(name: str) -> list[str]:
    """Return the secrets of that name, which commas or white space separate.

    Raises ImproperlyConfigured if one of them could be guessed.
    """
    values = secret(name).replace(",", "\n").split()
    return [checked_secret(f"{name}, number {number},", value) for number, value in enumerate(values, 1)]


def checked_secret(name: str, value: str) -> str:
    """Return `value`. If it could be guessed, raises ImproperlyConfigured with a message that does not contain it."""
    if weakness := weakness_of(value):
        raise ImproperlyConfigured(f"{name} is too weak: {weakness}; {_REMEDY}")
    return value


def weakness_of(value: str) -> str:
    """Return the reason why a secret could be guessed; "" if it is long and random enough."""
    if len(value) < SHORTEST_SECRET:
        return f"it has {len(value)} characters, fewer than {SHORTEST_SECRET}"
    if len(set(value)) < FEWEST_DISTINCT_CHARACTERS:
        return f"it has fewer than {FEWEST_DISTINCT_CHARACTERS} different characters"
    if value.lower().startswith(_NOT_SECRET):
        return "it begins as examples do"
    return ""


_REMEDY = "make one by: python -c 'import secrets; print(secrets.token_urlsafe(64))'"
