"""How many rows a page may have."""

import re

PAGE_LIMIT = 10_000
PAGE_LIMIT_RULE = f"must be a whole number between 1 and {PAGE_LIMIT:,}"


def page_limit(text: str) -> int | None:
    """The limit in plain digits; None where it is none."""
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= PAGE_LIMIT:
        return None
    return int(text)
