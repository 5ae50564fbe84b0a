"""Universes, which are lists of symbols with dates: the endpoints that list them, and the members for a job."""

import time
from typing import Annotated, Self

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from stats.exceptions import NoData
from stats.market_data.plan import commits_of, is_known, joined_commit, log_at
from store.datasets import UNIVERSE_CHANGES
from store.exceptions import UnknownSymbol
from store.log_views.log_view import LogView, log_coverage
from store.log_views.members import members_at, members_within
from store.protocol import Window
from store.timestamps import format_timestamp
from trades.instruments.services import requested_symbol, symbol_canonical
from trades.stores import market_store
from web.documents import AnswerDocument, Instant, about, instant_or_null, like
from web.endpoints import Access
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import instant_parameter
from web.requests.tagged_answer import tagged_answer
from web.views import DeclaredView

# A job is of at most so many members.
MEMBERS_LIMIT = 1_000


class UniverseDocument(AnswerDocument):
    """A universe: the number of its members, and its changes."""

    symbol: Annotated[str, like("SP500")]
    members: Annotated[int, like(503)]
    changes: Annotated[int, like(1_841)]
    first: Annotated[Instant | None, like("1996-01-02T00:00:00Z")]
    last: Annotated[Instant | None, like("2025-03-24T00:00:00Z")]
    head: Annotated[str, about("The newest commit, as in X-Commit.", "12-9f3a2c")]

    @classmethod
    def of(cls, log: LogView, at_ns: int) -> Self:
        """Return the document of a universe. at_ns: when its members are counted."""
        found, members = log_coverage(log), len(members_at(log, at_ns + 1))
        first, last = instant_or_null(found.first_ns), instant_or_null(found.last_ns)
        return cls(log.symbol, members, found.rows, first, last, found.head.token)


class UniversesDocument(AnswerDocument):
    """All universes."""

    universes: list[UniverseDocument]


class UniverseMembersDocument(AnswerDocument):
    """The members of a universe at an instant, sorted."""

    symbol: Annotated[str, like("SP500")]
    at: Annotated[Instant, like("2025-01-02T00:00:00Z")]
    members: Annotated[list[str], like(["AAPL", "MSFT"])]


_TIME = {"type": "string"}
_AT = OpenApiParameter(
    "at", _TIME, description="The instant at which members belong. Default: now, or `as_of`."
)
_AS_OF = OpenApiParameter("as_of", _TIME, description="Ignore commits stored after this instant.")
_SYMBOL = OpenApiParameter(
    "symbol",
    {"type": "string", "minLength": 1, "maxLength": 32, "examples": ["SP500"]},
    OpenApiParameter.PATH,
    description="The universe's name.",
)


class UniversesViewSet(DeclaredView, ViewSet):
    """Universes and their members."""

    tag = "universes"
    access = {
        "list": Access("market:read", cost="page", is_heavy=True),
        "retrieve": Access("market:read"),
    }
    answers = {"list": UniversesDocument, "retrieve": UniverseMembersDocument}
    common_parameters = (_SYMBOL, _AT, _AS_OF)

    def list(self, request: Request) -> Response:
        """List universes. All universes, with the number of their members and changes."""
        at_ns, as_of_ns = self._instants()
        names = sorted(market_store().symbols(UNIVERSE_CHANGES))
        logs = [log for name in names if not (log := log_at(UNIVERSE_CHANGES, name, as_of_ns)).is_empty]
        document = UniversesDocument([UniverseDocument.of(log, at_ns) for log in logs])
        commit = f"{UNIVERSE_CHANGES.name}={joined_commit(logs).token}"
        return tagged_answer(request, document.as_json(), _headers(commit, as_of_ns))

    def retrieve(self, request: Request, symbol: str) -> Response:
        """List the members of a universe. The symbols that belonged to it at an instant, sorted."""
        at_ns, as_of_ns = self._instants()
        log = _log(requested_symbol(symbol), as_of_ns)
        document = UniverseMembersDocument(log.symbol, format_timestamp(at_ns), members_at(log, at_ns + 1))
        commit = commits_of([log], with_symbols=False)
        return tagged_answer(request, document.as_json(), _headers(commit, as_of_ns))

    def _instants(self) -> tuple[int, int | None]:
        """Return the instants `at` and `as_of`. Raises `InvalidParameter`."""
        as_of_ns = instant_parameter("as_of", self.query)
        now_ns = time.time_ns() if as_of_ns is None else min(time.time_ns(), as_of_ns)
        at_ns = instant_parameter("at", self.query)
        return now_ns if at_ns is None else at_ns, as_of_ns


def _headers(commit: str, as_of_ns: int | None) -> dict[str, str]:
    headers = {"X-Commit": commit} if commit else {}
    return headers if as_of_ns is None else {**headers, "X-As-Of": format_timestamp(as_of_ns)}


def _log(name: str, as_of_ns: int | None) -> LogView:
    """Return the changes of a universe, by `as_of_ns` if that is given. Raises `UnknownSymbol`."""
    log = log_at(UNIVERSE_CHANGES, name, as_of_ns)
    if log.is_empty and name not in market_store().symbols(UNIVERSE_CHANGES):
        raise UnknownSymbol(name)
    return log


def known_members(
    name: str, *, start_ns: int | None, end_ns: int | None, as_of_ns: int, symbol_as_of_ns: int | None = None
) -> tuple[str, ...]:
    """Return the symbols with rows that were members at some instant of [start, end), sorted by the members' names.

    start_ns: None for just before the end. end_ns: None for just after `as_of_ns`; changes after that do not count.
    symbol_as_of_ns: when the members' names had their meaning; None for now. Raises `UnknownSymbol`, `NoData` without
    members, `InvalidParameter` for more than `MEMBERS_LIMIT`.
    """
    until_ns = as_of_ns + 1 if end_ns is None else min(end_ns, as_of_ns + 1)
    window = Window(until_ns if start_ns is None else min(start_ns, until_ns), until_ns)
    members = members_within(_log(name, as_of_ns), window)
    if len(members) > MEMBERS_LIMIT:
        raise InvalidParameter(
            "too_many_symbols", f"symbols: @{name} has {len(members):,} members, more than {MEMBERS_LIMIT:,}"
        )
    symbols = dict.fromkeys(symbol_canonical(member, symbol_as_of_ns) for member in members)
    if known := tuple(filter(is_known, symbols)):
        return known
    raise NoData(
        f"no member of the universe {name} has rows in the range: GET /universes/{name} lists the members"
    )
