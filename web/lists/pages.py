"""Keyset pagination: pages of database rows, ordered by one unique column."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from web.lists.cursors import Cursor
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice

PAGE_PARAMETERS = ("limit", "cursor", "sort")
SORTS = ("asc", "desc")
# Parameters that may change from page to page, so a cursor is not bound to them.
_UNBOUND_PARAMETERS = {"limit", "cursor", "offset", "format"}
_OFFSET_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the requested order, and the cursors of the next and the previous page."""

    rows: list[Any]
    next_cursor: str | None
    prev_cursor: str | None


@dataclass(frozen=True, slots=True)
class OrderedRows:
    """Rows in the order of the unique column `by`. Its cursors are valid for `query` only."""

    rows: QuerySet[Any]
    by: str
    is_descending: bool
    query: str

    def page(self, cursor: Cursor | None, limit: int, offset: int = 0) -> Page:
        """Return the cursor's page; without a cursor the page after `offset` rows. It has at most `limit` rows."""
        if cursor is not None and cursor.backward:
            one_more = list(self._before(cursor.position).reverse()[: limit + 1])
            rows = one_more[:limit][::-1]
            next_position = cursor.position if self._from(cursor.position).exists() else None
            return self._page(rows, cursor.position, next_position, has_previous=len(one_more) > limit)
        ordered = self._ordered() if cursor is None else self._from(cursor.position)
        one_more = list(ordered[offset : offset + limit + 1])
        rows = one_more[:limit]
        next_position = self._position(one_more[limit]) if len(one_more) > limit else None
        if cursor is None:
            return self._page(rows, "", next_position, has_previous=bool(offset and rows))
        start = self._position(rows[0]) if rows else cursor.position
        return self._page(rows, cursor.position, next_position, has_previous=self._before(start).exists())

    def _page(self, rows: list[Any], position: str, next_position: str | None, *, has_previous: bool) -> Page:
        start = self._position(rows[0]) if rows else position
        return Page(
            rows,
            None if next_position is None else Cursor(False, next_position, self.query).encode(),
            Cursor(True, start, self.query).encode() if has_previous else None,
        )

    def _position(self, row: Any) -> str:
        return str(getattr(row, self.by))

    def _ordered(self) -> QuerySet[Any]:
        return self.rows.order_by(f"-{self.by}" if self.is_descending else self.by)

    def _from(self, position: str) -> QuerySet[Any]:
        return self._ordered().filter(**{f"{self.by}__{'lte' if self.is_descending else 'gte'}": position})

    def _before(self, position: str) -> QuerySet[Any]:
        return self._ordered().filter(**{f"{self.by}__{'gt' if self.is_descending else 'lt'}": position})


class KeysetPagination(BasePagination):
    """Pages by the parameters `limit`, `cursor` and `sort`.

    A client that follows the cursors gets a row exactly once if the row exists from the first request to the last. A
    subclass, or its view, sets `rows_name` (the name of the list of rows in the document); it sets `by` (the unique column that orders
    them). `counted` is the largest `total_estimate`; with None all rows are counted. If it `takes_offset`, a page may also
    be asked for by the number of rows before it.
    """

    rows_name: str = ""
    by: ClassVar[str]
    sort_description: ClassVar[str]
    default_limit: ClassVar[int] = 1_000
    default_sort: ClassVar[str] = "asc"
    counted: ClassVar[int | None] = None
    takes_offset: ClassVar[bool] = False

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """Return the page's rows. Raises RequestError."""
        values = {name: str(request.query_params[name]) for name in request.query_params}
        sort = choice(values, "sort", SORTS, self.default_sort)
        bound = {name: value for name, value in values.items() if name not in _UNBOUND_PARAMETERS}
        query = repr((self.rows_name, sorted({**bound, "sort": sort}.items())))
        if {"cursor", "offset"} <= values.keys():
            raise InvalidParameter("conflicting_parameters", "cursor and offset exclude each other")
        cursor = Cursor.decode(values["cursor"], query=query) if "cursor" in values else None
        offset = _offset(values.get("offset", "0"))
        rows = OrderedRows(queryset, self.by, sort == "desc", query)
        self.page = rows.page(cursor, self._limit(values.get("limit")), offset)
        self.total = queryset.order_by()[: self.counted].count()
        return self.page.rows

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Return the names of the parameters."""
        return (*PAGE_PARAMETERS, "offset") if cls.takes_offset else PAGE_PARAMETERS

    def get_paginated_response(self, data: list[Any]) -> Response:
        """Return the answer with a page's rows. Caches do not store it."""
        return Response(self.envelope(data), headers={"Cache-Control": "no-store"})

    def envelope(self, rows: list[Any]) -> dict[str, Any]:
        """Return a page's document, with its rows, cursors and `total_estimate`."""
        return {
            self.rows_name: rows,
            "next_cursor": self.page.next_cursor,
            "prev_cursor": self.page.prev_cursor,
            "total_estimate": self.total,
        }

    def get_results(self, data: Mapping[str, Any]) -> Any:
        """Return the rows in an envelope. The browsable API shows its filter form only if this is a list."""
        return data[self.rows_name]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the envelope's schema."""
        cursor = {"type": ["string", "null"], "description": "Send it back unchanged.", "example": None}
        total: dict[str, Any] = {"type": "integer", "example": 1}
        if self.counted is not None:
            total["description"] = f"The number of matching rows, at most {self.counted:,}."
        properties = {
            self.rows_name: schema,
            "next_cursor": cursor,
            "prev_cursor": cursor,
            "total_estimate": total,
        }
        return {"type": "object", "required": list(properties), "properties": properties}

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the parameters' schemas."""
        limit = {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": self.default_limit}
        sort = {"type": "string", "enum": list(SORTS), "default": self.default_sort}
        offset = {"type": "integer", "minimum": 0, "default": 0}
        offsets = [_parameter("offset", "The rows before the page, instead of a cursor.", offset)]
        return [
            _parameter("limit", "The most rows in a page.", limit),
            _parameter(
                "cursor",
                "The `next_cursor` or `prev_cursor` of a page of the same query.",
                {"type": "string", "minLength": 1},
            ),
            _parameter("sort", self.sort_description, sort),
            *(offsets if self.takes_offset else ()),
        ]

    def _limit(self, text: str | None) -> int:
        if text is None:
            return self.default_limit
        limit = page_limit(text)
        if limit is None:
            raise InvalidParameter("invalid_limit", f"limit {PAGE_LIMIT_RULE}")
        return limit


class NewestPagination(KeysetPagination):
    """Pages of rows of which the newest are asked for first. The view sets `rows_name`."""

    by = "pk"
    sort_description = "By the time of creation; `desc`: newest first."
    default_limit = 100
    default_sort = "desc"


def _offset(text: str) -> int:
    if not re.fullmatch(f"[0-9]{{1,{_OFFSET_DIGITS}}}", text):
        message = f"offset must be a whole number of at most {_OFFSET_DIGITS} digits"
        raise InvalidParameter("invalid_parameter", message)
    return int(text)


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


PAGE_LIMIT = 10_000
PAGE_LIMIT_RULE = f"must be a whole number between 1 and {PAGE_LIMIT:,}"


def page_limit(text: str) -> int | None:
    """Parse a limit in decimal digits. Returns None if it is not an integer from 1 to PAGE_LIMIT."""
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= PAGE_LIMIT:
        return None
    return int(text)
