"""Alpaca's watchlists: lists of assets of an account."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from msgspec import UNSET, UnsetType
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.alpaca.accounts import AlpacaAccountView
from dialects.alpaca.assets import AlpacaAsset, asset_of
from dialects.alpaca.orders import ASSET_CLASSES, ExampleId, id_of
from dialects.alpaca.symbols import asset_symbol, pair_of
from store.timestamps import format_timestamp
from trades.batches.serializers import SymbolField
from trades.instruments.services import symbol_canonical
from trading.api.account_inputs import known_symbol
from trading.api.account_view import ACCOUNT_CHANGE, ACCOUNT_READ, Done, account_answer
from trading.exceptions import UnknownWatchlist
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account, Watchlist
from web.documents import AnswerDocument, Instant, about, like
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Text

MOST_WATCHLISTS, MOST_SYMBOLS = 100, 200


def watchlists_of(account: Account) -> QuerySet[Watchlist]:
    """Return the watchlists of an account by name, as a query."""
    return Watchlist.objects.filter(account=account).order_by("name")


def watchlist_find(*, account: Account, watchlist_id: str) -> Watchlist:
    """Return a watchlist of an account. Raises UnknownWatchlist."""
    try:
        return watchlists_of(account).get(uuid=UUID(watchlist_id))
    except (Watchlist.DoesNotExist, ValueError):
        raise UnknownWatchlist(watchlist_id) from None


def watchlist_change(
    *, account: Account, watchlist_id: str | None, change: Callable[[Watchlist], object]
) -> Watchlist:
    """Make a watchlist (no id), or change one, and return it. Call it in a transaction.

    change: sets `name` and `symbols`, which may have a symbol twice. Raises UnknownWatchlist, ValidationError.
    """
    # Calls about one account wait for each other.
    Account.objects.select_for_update().get(pk=account.pk)
    now_ns = engine_status().now_ns
    if watchlist_id is None:
        found = Watchlist(account=account, created_ns=now_ns)
    else:
        found = watchlist_find(account=account, watchlist_id=watchlist_id)
    change(found)
    names = set(watchlists_of(account).exclude(pk=found.pk).values_list("name", flat=True))
    if found.name in names:
        raise field_refusal("name", f"there is a watchlist {found.name}", "repeated")
    if len(names) >= MOST_WATCHLISTS:
        raise field_refusal("name", f"an account has at most {MOST_WATCHLISTS} watchlists", "too_many")
    found.symbols, found.changed_ns = list(dict.fromkeys(found.symbols)), now_ns
    if len(found.symbols) > MOST_SYMBOLS:
        raise field_refusal("symbols", f"a watchlist has at most {MOST_SYMBOLS} symbols", "too_many")
    found.save()
    return found


class AlpacaWatchlist(AnswerDocument, kw_only=True):
    """A watchlist."""

    id: ExampleId
    account_id: ExampleId
    name: Annotated[str, like("tech")]
    created_at: Annotated[Instant, like("2025-01-02T14:30:00Z")]
    updated_at: Annotated[Instant, like("2025-01-02T14:30:00Z")]
    assets: Annotated[list[AlpacaAsset] | UnsetType, about("Not in lists of watchlists.")] = UNSET  # type: ignore[valid-type]


class WatchedSymbolField(SymbolField):
    """The symbol of an asset, which becomes canonical."""

    def to_internal_value(self, data: Any) -> str:
        symbol = known_symbol(pair_of(symbol_canonical(super().to_internal_value(data))))
        if market().instrument(symbol).instrument_class not in ASSET_CLASSES:
            raise serializers.ValidationError(f"{symbol} is no asset of Alpaca's classes", "wrong_class")
        return symbol


class AlpacaWatchlistChange(KnownFieldsSerializer):
    """Another name, or other symbols, of a watchlist."""

    examples: ClassVar[dict[str, Any]] = {"Another name": {"name": "growth"}}

    name = Text(max_length=64, required=False, help_text="No other watchlist of the account has it.")
    symbols = serializers.ListField(
        child=WatchedSymbolField(), max_length=MOST_SYMBOLS, required=False, help_text="In their order."
    )


class AlpacaWatchlistInput(AlpacaWatchlistChange):
    """A new watchlist."""

    examples: ClassVar[dict[str, Any]] = {"Two symbols": {"name": "tech", "symbols": ["AAPL", "MSFT"]}}

    name = Text(max_length=64, help_text="No other watchlist of the account has it.")


class AlpacaWatchlistAsset(KnownFieldsSerializer):
    """An asset to add."""

    examples: ClassVar = {"A share": {"symbol": "AAPL"}}

    symbol = WatchedSymbolField()


class AlpacaWatchlistsViewSet(AlpacaAccountView):
    """The watchlists of the key's account."""

    access = {
        **dict.fromkeys(("list", "retrieve"), ACCOUNT_READ),
        **dict.fromkeys(("create", "update", "add", "remove", "destroy"), ACCOUNT_CHANGE),
    }
    verbs = {"add": "add"}
    bodies = {"create": AlpacaWatchlistInput, "update": AlpacaWatchlistChange, "add": AlpacaWatchlistAsset}
    answers = {
        "list": list[AlpacaWatchlist],
        **dict.fromkeys(("retrieve", "create", "update", "add", "remove"), AlpacaWatchlist),
        "destroy": None,
    }

    def list(self, request: Request) -> Response:
        """List watchlists."""
        account = self.account()
        documents = [_document(each, has_assets=False) for each in watchlists_of(account)]
        return account_answer(documents, account.number)

    def retrieve(self, request: Request, watchlist: str) -> Response:
        """Get a watchlist."""
        account = self.account()
        found = watchlist_find(account=account, watchlist_id=watchlist)
        return account_answer(_document(found), account.number)

    def create(self, request: Request) -> Response:
        """Make a watchlist."""
        values = self.body()
        return self._change(None, lambda found: vars(found).update(values))

    def update(self, request: Request, watchlist: str) -> Response:
        """Change a watchlist."""
        values = self.body()
        return self._change(watchlist, lambda found: vars(found).update(values))

    def add(self, request: Request, watchlist: str) -> Response:
        """Add an asset at the end of a watchlist. An asset that it has stays at its place."""
        symbol = self.body()["symbol"]
        return self._change(watchlist, lambda found: found.symbols.append(symbol))

    def remove(self, request: Request, watchlist: str, symbol: str) -> Response:
        """Remove an asset from a watchlist."""
        name = asset_symbol(symbol)

        def remove(found: Watchlist) -> None:
            if name not in found.symbols:
                raise NotFound(f"the watchlist has no {symbol}")
            found.symbols.remove(name)

        return self._change(watchlist, remove)

    def destroy(self, request: Request, watchlist: str) -> Response:
        """Delete a watchlist."""
        account, _ = self.account_to_change()

        def delete() -> Done:
            watchlist_find(account=account, watchlist_id=watchlist).delete()
            return Done(None, account.number)

        return self.change(delete, status=HTTPStatus.NO_CONTENT)

    def _change(self, watchlist: str | None, change: Callable[[Watchlist], object]) -> Response:
        account, _ = self.account_to_change()

        def changed() -> Done:
            found = watchlist_change(account=account, watchlist_id=watchlist, change=change)
            return Done(_document(found), account.number)

        return self.change(changed)


def _document(watchlist: Watchlist, *, has_assets: bool = True) -> AlpacaWatchlist:
    return AlpacaWatchlist(
        id=str(watchlist.uuid),
        account_id=id_of("account", watchlist.account.name),
        name=watchlist.name,
        created_at=format_timestamp(watchlist.created_ns),
        updated_at=format_timestamp(watchlist.changed_ns),
        assets=[asset_of(market().instrument(each)) for each in watchlist.symbols] if has_assets else UNSET,
    )
