"""Two steps: a preview says what an order would do, and execute submits it once, if that is still true.

A preview is kept by who asked for it, as a signed token.
"""

from decimal import Decimal
from typing import NamedTuple
from uuid import uuid4

import msgspec
from django.core import signing
from msgspec.structs import asdict, replace

from ratelimit.callers import Caller
from store.timestamps import format_timestamp
from trading.account_store import account_act
from trading.core.acceptance import accept
from trading.core.account import AccountState
from trading.core.amounts import NS_PER_SECOND, money, percent
from trading.core.matching import Record
from trading.core.orders import OrderTerms
from trading.core.risk import RiskVerdict, expected_cost, worst_cost
from trading.documents.orders import (
    OrderCheckDocument,
    OrderTermsDocument,
    PreviewDocument,
    ReferenceDocument,
)
from trading.exceptions import PreviewExpired, PreviewStale, PreviewUsed, UnknownPreview
from trading.journal import state_of
from trading.lease import require_engine
from trading.models import Account
from trading.services.accounts import account_find
from trading.services.orders import Submitted, order_judge, order_repeated, order_view
from web.documents import number, number_or_null

PREVIEW_SECONDS = 30
# How far the price may move between preview and execute.
TOLERANCE_PERCENT = Decimal("0.5")
_SALT = "trading.preview"


class Preview(msgspec.Struct, frozen=True):
    """A preview of an order, which one `execute` may take.

    owner: the `Caller.identity` that asked. order: it has a client_order_id, by which a second execution is known.

    traded, risk_version: of the account when it was made. price: of reference.
    """

    account: str
    owner: str
    order: OrderTerms
    traded: int
    risk_version: int
    price: Decimal
    expires_ns: int

    @property
    def token(self) -> str:
        """The signed token."""
        return signing.dumps(msgspec.to_builtins(self), salt=_SALT, compress=True)


class Previewed(NamedTuple):
    """A preview, and what the checks found. number: of the account's last event."""

    preview: Preview
    found: RiskVerdict
    number: int


def trade_preview(*, account: Account, order: OrderTerms, owner: str) -> Previewed:
    """Say what an order would do. owner: the `Caller.identity` that may execute it.

    It only reads. Checks that fail are part of the answer. Raises EngineUnavailable, NotTradable, NoReferencePrice,
    NoRate.
    """
    now_ns, state = require_engine().now_ns, state_of(account)
    order = replace(order, client_order_id=order.client_order_id or f"preview:{uuid4()}")
    view = order_view(state, order, now_ns=now_ns)
    found = order_judge(state, order, view, now_ns=now_ns)
    preview = Preview(
        account=account.name,
        owner=owner,
        order=order,
        traded=state.traded,
        risk_version=state.risk_version,
        price=view.reference.price,
        expires_ns=now_ns + PREVIEW_SECONDS * NS_PER_SECOND,
    )
    return Previewed(preview, found, state.number)


def preview_find(*, token: str, caller: Caller) -> tuple[Preview, Account]:
    """Return a preview that the caller made, and its account, which the caller may see. Raises UnknownPreview."""
    unknown = UnknownPreview("there is no such preview")
    try:
        preview = msgspec.convert(signing.loads(token, salt=_SALT), Preview)
    except (signing.BadSignature, msgspec.ValidationError):
        raise unknown from None
    if preview.owner != caller.identity or not caller.owns(preview.account):
        raise unknown
    return preview, account_find(caller=caller, name=preview.account)


def trade_execute(*, account: Account, preview: Preview, by: str) -> Submitted:
    """Submit the order of a preview, once.

    Raises PreviewExpired, PreviewUsed, EngineUnavailable, ClientOrderIdReused; PreviewStale if the account, its limits
    or the price changed, or if a check fails now: then ask for a new one.
    """
    order = preview.order
    _require_unused(account, order)
    now_ns = require_engine().now_ns
    if now_ns > preview.expires_ns:
        raise PreviewExpired(f"a preview holds for {PREVIEW_SECONDS} seconds; ask for a new one")
    view = order_view(state_of(account), order, now_ns=now_ns)

    def execute(state: AccountState, record: Record) -> Submitted:
        _require_unused(account, order)
        is_same = (preview.traded, preview.risk_version) == (state.traded, state.risk_version)
        moved = _moved_percent(preview.price, view.reference.price)
        found = order_judge(state, order, view, now_ns=now_ns)
        if not is_same or moved > TOLERANCE_PERCENT or not found.is_passed:
            raise PreviewStale("the market, the account or its limits changed since the preview")
        order_id = accept(state, record, found, view, now_ns=now_ns, by=by)
        return Submitted(state.orders[order_id], state.number)

    return account_act(account.name, execute, at_ns=now_ns)


def _require_unused(account: Account, order: OrderTerms) -> None:
    """Raise PreviewUsed, or ClientOrderIdReused, if an order has the preview's client_order_id."""
    made = order_repeated(account=account, fields=asdict(order))
    if made is not None:
        order_id = made.order.id
        raise PreviewUsed(f"the preview was executed before: it made the order {order_id}", order_id=order_id)


def preview_document(previewed: Previewed, currency: str) -> PreviewDocument:
    """Return a preview. currency: the account's.

    cost, fee: at the order's limit or the market's price. worst_cost, margin: at its limit or collar. All sums are in
    the account's currency.
    """
    preview, found = previewed.preview, previewed.found
    proposal = found.proposal
    quantity = proposal.order.quantity
    cost, fee = expected_cost(proposal)
    return PreviewDocument(
        preview_id=preview.token,
        account=preview.account,
        expires_at=format_timestamp(preview.expires_ns),
        order=OrderTermsDocument.of_terms(proposal.order),
        reference=ReferenceDocument.of(proposal.reference),
        tick=number_or_null(proposal.terms.tick_at(proposal.order.limit_price or proposal.reference.price)),
        currency=currency,
        cost=number(cost),
        worst_cost=number(worst_cost(proposal)),
        fee=number(fee),
        margin=number(money(quantity, proposal.margin)),
        exposure_after=number_or_null(found.exposure),
        gross_after=number_or_null(found.gross),
        equity=number_or_null(found.equity),
        checks=[OrderCheckDocument.of(check) for check in found.checks],
        would_be_accepted=found.is_passed,
        event=previewed.number,
    )


def _moved_percent(before: Decimal, now: Decimal) -> Decimal:
    return percent(abs(now - before), abs(before)) if before else Decimal(100) * bool(now)
