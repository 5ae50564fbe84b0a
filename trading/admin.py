"""Trading in the admin: what follows from events is shown, and not changed."""

from django.contrib import admin

from trading.models import Account, ExecutionRow, OrderRow, TransactionRow
from web.read_only_admin import ReadOnlyAdmin


class ShownOnly(ReadOnlyAdmin):
    """Rows that follow from events: they can be read and searched, not changed. Newest first."""

    show_full_result_count = False
    list_select_related = True


@admin.register(Account)
class AccountAdmin(ShownOnly):
    """Accounts."""

    list_display = ("name", "number")
    search_fields = ("name",)


@admin.register(OrderRow)
class OrderRowAdmin(ShownOnly):
    """Orders."""

    list_display = ("uuid", "account", "symbol", "side", "strategy", "state")
    list_filter = ("state", "side")
    search_fields = ("=uuid", "=client_order_id", "=symbol", "=account__name")


@admin.register(ExecutionRow)
class ExecutionRowAdmin(ShownOnly):
    """Executions."""

    list_display = ("uuid", "account", "symbol", "number")
    search_fields = ("=uuid", "=symbol", "=account__name")
    raw_id_fields = ("order",)


@admin.register(TransactionRow)
class TransactionRowAdmin(ShownOnly):
    """What events booked."""

    list_display = ("number", "account", "kind", "symbol", "amount", "currency", "balance")
    list_filter = ("kind",)
    search_fields = ("=symbol", "=account__name")
