"""Cache headers, entity tags, and `If-None-Match`."""

import hashlib
import re
from functools import lru_cache

# For every answer that a client may store but must revalidate on each use.
REVALIDATED = {
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key",
}
# For every answer that is never stored, such as a stream.
NOT_STORED = {"X-Cache": "bypass", "Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding"}
# What proxies that compress add to a tag: Apache and Caddy `-gzip`, Jetty `--gzip`.
_OF_PROXIES = re.compile(r'--?(?:gzip|br|zstd|deflate)"\Z')
_ITEM = re.compile(r'[ \t]*(?:(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|\Z)')


@lru_cache(maxsize=4096)
def etag_of(key: str) -> str:
    """Return a strong entity tag, a hash of `key`, which names a representation's version, query and format."""
    return content_tag(key.encode("utf-8", "surrogatepass"))


def content_tag(content: bytes) -> str:
    """Return a strong entity tag, a hash of the content."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Return whether `If-None-Match` contains `etag`, so that the answer is 304.

    Tags are compared weakly (RFC 9110, 8.8.3.2 and 13.1.2), and without the suffix of a proxy that compressed the
    answer. `*` matches every tag. A malformed header is ignored.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip(" \t") == "*":
        return True
    return etag.removeprefix("W/") in _opaque_tags(if_none_match)


# In `If-Match`: whatever the tag is now.
ANY_TAG = "*"


def without_proxy_suffix(tag: str) -> str:
    """Return a quoted entity tag without what a proxy that compressed the answer added to it."""
    return _OF_PROXIES.sub('"', tag)


def _opaque_tags(field: str) -> set[str]:
    """Return the tags in an If-None-Match header, without `W/` and proxies' suffixes; none if it is malformed."""
    tags: set[str] = set()
    position = 0
    while position < len(field):
        item = _ITEM.match(field, position)
        if item is None:
            return set()
        if item[1] is not None:
            tags.add(without_proxy_suffix(item[1]))
        position = item.end()
    return tags
