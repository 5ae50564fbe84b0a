"""`manage.py access`: prints what each endpoint requires and costs."""

import re
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand

from ratelimit.access.scopes import SCOPES
from stats.market_data.query import MARKET_CLASSES
from web.endpoints import Access, endpoint_list

_COLUMNS = ("endpoint", "scope", "sensitivity", "group, kind", "cost", "audit class", "body")
# Other paths lead to the same views.
_VERSIONED = re.compile(r"/(?:(?:api|ws)/v[0-9]|udf/)")
_CLASS = re.compile(rf"(?<=/market-data/)({'|'.join(MARKET_CLASSES)})(?=/)")


class Command(BaseCommand):
    help = "Print what each endpoint requires and costs: the table of docs/access.txt."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(_line(_COLUMNS))
        self.stdout.write("|" + "---|" * len(_COLUMNS))
        for line in dict.fromkeys(_lines()):
            self.stdout.write(line)


def _lines() -> Iterator[str]:
    """Yield the table's lines. The classes of the tree are one, and so have the same line."""
    for endpoint in endpoint_list():
        if endpoint.access is not None and _VERSIONED.match(endpoint.path):
            path = _CLASS.sub("{class}", endpoint.path)
            yield _line((f"`{endpoint.method} {path}`", *_cells(endpoint.access)))


def _cells(access: Access) -> tuple[str, ...]:
    mib, rest = divmod(access.body_bytes, 2**20)
    return (
        f"`{access.scope_text}`" if access.scope in SCOPES else access.scope,
        access.sensitivity,
        f"{access.bucket}, {access.rate}/s" if access.bucket else f"{access.group}, {access.kind}",
        access.cost,
        access.audit_class,
        f"{access.body_bytes // 1024} KiB" if rest else f"{mib} MiB",
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")
