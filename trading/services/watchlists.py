"""Services of watchlists: an account's lists of symbols."""

from collections.abc import Callable
from uuid import UUID

from django.db.models import QuerySet

from trading.exceptions import UnknownWatchlist
from trading.lease import engine_status
from trading.models import Account, Watchlist
from web.requests.field_errors import field_refusal

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
