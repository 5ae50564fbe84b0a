"""Settings of other hosts: which of them may be asked, and the sources of market data."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

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


# Folders, other installations and other URLs of sources, by name: {"kind": "folder", "path": …}. Their order is the
# order in which they are asked to fill gaps.
SOURCES = _declared_sources()
SOURCE_KEYS = _source_keys()
# Whether callers that may read public data alone read rows that were fetched from a source.
PUBLIC_READS_FETCHED = env.bool("PUBLIC_READS_FETCHED", False)
# Whether gaps that an answer meets are filled without being asked for.
BACKFILL_AUTOMATIC = env.bool("BACKFILL_AUTOMATIC", True)
# Where traces are sent, by the names that OpenTelemetry gives; empty: there are none.
TRACES_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", "")
if TRACES_ENDPOINT and not TRACES_ENDPOINT.startswith(("http://", "https://")):
    raise ImproperlyConfigured("OTEL_EXPORTER_OTLP_ENDPOINT begins with http:// or https://")
TRACES_SERVICE = env.str("OTEL_SERVICE_NAME", "marketdata")
# Headers of each call of it, such as a credential: name=value, separated by commas.
TRACES_HEADERS = {
    name.strip(): unquote(value.strip())
    for name, _, value in (pair.partition("=") for pair in secret("OTEL_EXPORTER_OTLP_HEADERS").split(","))
    if name
}
