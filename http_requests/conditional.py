"""How long an answer may be kept, and by whom; its entity tag, and conditions that clients make with that."""

import hashlib
import re
from functools import lru_cache

# The headers of every answer that may be kept if it is asked for again each time.
REVALIDATED = {
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key",
}
_ITEM = re.compile(r'[ \t]*(?:(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|\Z)')


@lru_cache(maxsize=4096)
def etag_of(key: str) -> str:
    """The strong tag of the representation that `key` names: version, query and format, hashed."""
    return content_tag(key.encode("utf-8", "surrogatepass"))


def content_tag(content: bytes) -> str:
    """The strong tag of a representation that is made of `content` alone."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Whether a client that sent `If-None-Match` has the representation tagged `etag`: the answer is 304.

    Weak comparison (RFC 9110, 8.8.3.2 and 13.1.2); `*` is true, since there is a representation; a field
    that is not a list of tags is no condition, hence False.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip(" \t") == "*":
        return True
    return etag.removeprefix("W/") in _opaque_tags(if_none_match)


def _opaque_tags(field: str) -> set[str]:
    """The tags of the list without their weakness; none at all if the list is malformed."""
    tags: set[str] = set()
    position = 0
    while position < len(field):
        item = _ITEM.match(field, position)
        if item is None:
            return set()
        if item[1] is not None:
            tags.add(item[1])
        position = item.end()
    return tags
