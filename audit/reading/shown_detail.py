"""The `detail` of a record as escaped HTML, for the admin."""

import json
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

NOTHING = SafeString("-")
"""Shown for an empty value."""
_APART = ("change", "body")


def shown_change(detail: str) -> SafeString:
    """A table of the changed members, with the values before and after."""
    changes = _parsed(detail).get("change")
    if not changes:
        return NOTHING
    rows = format_html_join(
        "",
        "<tr><th scope='row'>{}</th><td class='audit-before'>{}</td><td class='audit-after'>{}</td></tr>",
        ((each["path"], _value(each, "before"), _value(each, "after")) for each in changes),
    )
    titles = "".join(f"<th scope='col'>{title}</th>" for title in ("Place", "Before", "After"))
    head = f"<thead><tr>{titles}</tr></thead>"
    return format_html("<table class='audit-change'>{}<tbody>{}</tbody></table>", SafeString(head), rows)


def shown_body(detail: str) -> SafeString:
    """The recorded body of the call."""
    parsed = _parsed(detail)
    return _block(parsed["body"]) if "body" in parsed else NOTHING


def shown_detail(detail: str) -> SafeString:
    """The members of the detail except change and body."""
    rest = {name: value for name, value in _parsed(detail).items() if name not in _APART}
    return _block(rest) if rest else NOTHING


def _parsed(detail: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(detail) if detail else {}
    return parsed


def _value(change: dict[str, Any], name: str) -> SafeString:
    return (
        format_html("<code>{}</code>", json.dumps(change[name], ensure_ascii=False))
        if name in change
        else NOTHING
    )


def _block(document: Any) -> SafeString:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return format_html("<pre class='audit-document'>{}</pre>", text)
