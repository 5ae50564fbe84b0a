"""The ledger of an account, in double entry: the entries of an event add up to zero in each currency.

Accounts of the ledger: `cash` (in the account's currency), `capital`, `positions` (at cost), `realized`, `fees`,
`dividends`, `borrowing`, and `conversion`, through which amounts of other currencies become cash. Debits are above
zero.
"""

from decimal import Decimal

import msgspec

from trading.core.amounts import ZERO, money

CASH, CAPITAL, POSITIONS, REALIZED = "cash", "capital", "positions", "realized"
FEES, DIVIDENDS, BORROWING, CONVERSION = "fees", "dividends", "borrowing", "conversion"


class LedgerEntry(msgspec.Struct, frozen=True):
    """One line of the ledger. symbol: of `positions`; otherwise ""."""

    account: str
    currency: str
    amount: Decimal
    symbol: str = ""


def paid(account: str, amount: Decimal, *, currency: str, base: str, rate: Decimal) -> list[LedgerEntry]:
    """Return the entries for an amount that is debited to an account of the ledger and taken from the cash.

    amount: in `currency`; below zero it comes in. base: the currency of the cash; rate: from the one to the other.
    """
    return [LedgerEntry(account, currency, amount), *from_cash(amount, currency, base, rate)]


def from_cash(amount: Decimal, currency: str, base: str, rate: Decimal) -> list[LedgerEntry]:
    """Return the entries that take an amount of any currency from the cash."""
    if currency == base:
        return [LedgerEntry(CASH, base, -amount)]
    converted = money(amount, rate)
    return [
        LedgerEntry(CONVERSION, currency, -amount),
        LedgerEntry(CONVERSION, base, converted),
        LedgerEntry(CASH, base, -converted),
    ]


def fill_entries(
    cost: Decimal,
    realized: Decimal,
    fee: Decimal,
    *,
    symbol: str,
    is_margined: bool,
    currency: str,
    base: str,
    rate: Decimal,
) -> list[LedgerEntry]:
    """Return the entries of a fill.

    cost: the change of the position's cost. is_margined: only gains, losses and fees are paid.
    """
    bought = ZERO if is_margined else cost
    amount = bought - realized + fee
    return [
        LedgerEntry(POSITIONS, currency, bought, symbol),
        LedgerEntry(REALIZED, currency, -realized),
        LedgerEntry(FEES, currency, fee),
        *from_cash(amount, currency, base, rate),
    ]
