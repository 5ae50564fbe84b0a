"""Two steps: a preview says what an order would do, and execute submits it once, if that is still true."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

import msgspec

from ratelimit.callers import Caller
from store.timestamps import format_timestamp
from trading.core.acceptance import accept
from trading.core.amounts import NS_PER_SECOND, money, percent
from trading.core.orders import OrderTerms
from trading.core.risk import RiskVerdict, expected_cost, worst_cost
from trading.documents.orders import (
    OrderCheckDocument,
    OrderTermsDocument,
    PreviewDocument,
    ReferenceDocument,
)
from trading.exceptions import PreviewExpired, PreviewStale, PreviewUsed, UnknownPreview
from trading.journal import open_journal, state_of
from trading.lease import engine_status, require_engine
from trading.models import Account, Preview
from trading.services.acceptance import order_judge, order_view
from trading.services.orders import Submitted, require_new_client_order_id
from web.documents import number, number_or_null
from web.retention import beyond_newest

PREVIEW_SECONDS = 30
_KEPT_SECONDS = 86_400
# Of an owner's previews, so many of the newest are kept: more than anybody makes while one holds.
MOST_PREVIEWS = 10_000


@dataclass(frozen=True, slots=True)
class Previewed:
    """A preview: its row, which is not saved, and what the checks found. number: of the account's last event."""

    preview: Preview
    found: RiskVerdict
    number: int


def trade_preview(*, account: Account, order: OrderTerms, owner: str) -> Previewed:
    """Say what an order would do. owner: the `Caller.principal` that may execute it.

    It only reads, so that nobody waits for it; whoever asks saves the preview. Checks that fail are part of the
    answer. Raises EngineUnavailable, NotTradable, NoReferencePrice, NoRate.
    """
    now_ns, state = require_engine().now_ns, state_of(account)
    view = order_view(state, order, now_ns=now_ns)
    found = order_judge(state, order, view, now_ns=now_ns)
    preview = Preview(
        uuid=uuid4(),
        account=account,
        owner=owner,
        terms=msgspec.json.encode(order).decode(),
        traded=state.traded,
        risk_version=state.risk_version,
        price=str(view.reference.price),
        expires_ns=now_ns + PREVIEW_SECONDS * NS_PER_SECOND,
    )
    return Previewed(preview, found, state.number)


def preview_find(*, preview_id: UUID, caller: Caller) -> Preview:
    """Return a preview that the caller made, of an account that it may see. Raises UnknownPreview."""
    preview = (
        Preview.objects.select_related("account").filter(uuid=preview_id, owner=caller.principal).first()
    )
    if preview is None or not caller.owns(preview.account.name):
        raise UnknownPreview("there is no such preview")
    return preview


def trade_execute(*, preview: Preview, by: str) -> Submitted:
    """Submit the order of a preview, once.

    Raises PreviewExpired, PreviewUsed, EngineUnavailable, ClientOrderIdReused; PreviewStale if the account, its limits
    or the price changed, or if a check fails now: then ask for a new one.
    """
    if preview.order_id is not None:
        raise _used(preview)
    now_ns = require_engine().now_ns
    if now_ns > preview.expires_ns:
        raise PreviewExpired(f"a preview holds for {PREVIEW_SECONDS} seconds; ask for a new one")
    order = previewed_order(preview)
    view = order_view(state_of(preview.account), order, now_ns=now_ns)
    with open_journal(preview.account.name) as journal:
        preview.refresh_from_db()
        if preview.order_id is not None:
            raise _used(preview)
        require_new_client_order_id(preview.account, order)
        state = journal.state
        is_same = (preview.traded, preview.risk_version) == (state.traded, state.risk_version)
        moved = _moved_percent(Decimal(preview.price), view.reference.price)
        found = order_judge(state, order, view, now_ns=now_ns)
        if not is_same or moved > state.config.preview_tolerance or not found.is_passed:
            raise PreviewStale("the market, the account or its limits changed since the preview")
        order_id = accept(journal.state, journal.at(now_ns), found, view, now_ns=now_ns, by=by)
        Preview.objects.filter(pk=preview.pk).update(order_id=order_id)
        return Submitted(journal.state.orders[order_id], state.number)


def preview_document(previewed: Previewed) -> PreviewDocument:
    """Return a preview.

    cost, fee: at the order's limit or the market's price. worst_cost, margin: at its limit or collar. All sums are in
    the account's currency.
    """
    preview, found = previewed.preview, previewed.found
    proposal = found.proposal
    quantity = proposal.order.quantity
    cost, fee = expected_cost(proposal)
    return PreviewDocument(
        preview_id=str(preview.uuid),
        account=preview.account.name,
        expires_at=format_timestamp(preview.expires_ns),
        order=OrderTermsDocument.of_terms(proposal.order),
        reference=ReferenceDocument.of(proposal.reference),
        tick=number(proposal.terms.tick_at(proposal.order.limit_price or proposal.reference.price)),
        currency=state_of(preview.account).currency,
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


def previewed_order(preview: Preview) -> OrderTerms:
    """Return the order of a preview."""
    return msgspec.json.decode(preview.terms, type=OrderTerms)


def _used(preview: Preview) -> PreviewUsed:
    order_id = str(preview.order_id)
    return PreviewUsed(f"the preview was executed before: it made the order {order_id}", order_id=order_id)


def _moved_percent(before: Decimal, now: Decimal) -> Decimal:
    return percent(abs(now - before), abs(before)) if before else Decimal(100) * bool(now)


def previews_delete_old(*, now: datetime) -> None:
    """Delete previews that expired a day ago, by the engine's clock and by the wall's; and owners' oldest beyond MOST_PREVIEWS."""
    now_ns = min(engine_status().now_ns, round(now.timestamp()) * NS_PER_SECOND)
    Preview.objects.filter(expires_ns__lt=now_ns - _KEPT_SECONDS * NS_PER_SECOND).delete()
    beyond_newest(Preview.objects.all(), holder="owner", most=MOST_PREVIEWS).delete()
