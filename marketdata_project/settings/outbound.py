"""Settings of other hosts: which of them may be asked, and the sources of market data."""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings.environment import env, json_object, networks, secret


def _schemes() -> tuple[str, ...]:
    schemes = tuple(env.list("OUTBOUND_SCHEMES", default=["https"]))
    if not {"http", "https"}.issuperset(schemes):
        raise ImproperlyConfigured("OUTBOUND_SCHEMES is https, or http,https")
    return schemes


# The schemes of URLs that may be asked.
OUTBOUND_SCHEMES = _schemes()
# Networks that may be asked beside the public ones.
OUTBOUND_NETWORKS = networks("OUTBOUND_NETWORKS")
# A file of certificates that are trusted beside the public ones.
OUTBOUND_CA_FILE = env.str("OUTBOUND_CA_FILE", "")
if OUTBOUND_CA_FILE and not Path(OUTBOUND_CA_FILE).is_file():
    raise ImproperlyConfigured(f"OUTBOUND_CA_FILE: there is no file {OUTBOUND_CA_FILE}")


def _declared_sources() -> dict[str, dict[str, Any]]:
    """Return the sources that the variable declares, by name."""
    declared = json_object("SOURCES")
    for name, source in declared.items():
        if not (isinstance(source, dict) and name.isidentifier() and name.isascii() and name.islower()):
            raise ImproperlyConfigured("SOURCES: a name is of a-z, 0-9 and _, a source is an object")
        if "key" in source:
            raise ImproperlyConfigured(f"SOURCES: the key of {name} belongs into SOURCE_KEY_{name.upper()}")
    return declared


def _source_keys() -> dict[str, str]:
    """Return the keys of sources, by the source's name: of `SOURCE_KEY_` and the name in capitals, also `_FILE`."""
    prefix = "SOURCE_KEY_"
    names = {
        name.removeprefix(prefix).removesuffix("_FILE") for name in os.environ if name.startswith(prefix)
    }
    return {name.lower(): secret(f"{prefix}{name}") for name in sorted(names) if name}


# Whether `serve` starts a process that feeds: it does nothing until there is something to feed.
FEEDS_ON = env.str("FEEDS", "").strip() != "off"


def _feeds() -> tuple[tuple[str, str, str], ...]:
    """Return what the variable lets be fed: a source, a name there, and the length of bars, "" where none is said."""
    feeds: list[tuple[str, str, str]] = []
    for text in filter(str.strip, (env.str("FEEDS", "") if FEEDS_ON else "").split(";")):
        words, _, timeframe = text.partition("--timeframe")
        source, *names = words.split() or [""]
        if not names or len(timeframe.split()) > 1:
            raise ImproperlyConfigured(
                f"FEEDS: {text.strip()} is not a source, its names there and perhaps --timeframe: "
                'FEEDS="binance BTC/USDT ETH/USDT; alpaca AAPL --timeframe 1m"'
            )
        feeds += [(source, name, timeframe.strip()) for name in names]
    return tuple(dict.fromkeys(feeds))


# Folders, other installations and other URLs of sources, by name: {"kind": "folder", "path": …}. Their order is the
# order in which they are asked to fill gaps.
SOURCES = _declared_sources()
SOURCE_KEYS = _source_keys()
# What feeds keep current: (source, name there, length of bars or "").
FEEDS = _feeds()
# Whether callers that may read public data alone read rows that were fetched from a source.
PUBLIC_READS_FETCHED = env.bool("PUBLIC_READS_FETCHED", False)
# Whether gaps that an answer meets are filled without being asked for.
BACKFILL_AUTOMATIC = env.bool("BACKFILL_AUTOMATIC", True)
