"""The table of the kinds of jobs."""

from jobs.backfills.filling import BACKFILL
from jobs.exports.tables import AUDIT_EXPORT
from jobs.exports.views import EXPORT
from jobs.fetches.services import FETCH, MARKETS
from jobs.kinds import JobKind
from jobs.uploads.services import UPLOAD
from trading.api.accounts import TRANSFER
from trading.api.backtests import BACKTEST
from trading.api.exports import ACCOUNT_EXPORT
from trading.api.order_batches import ORDER_BATCH
from trading.api.rebalances import REBALANCE

KINDS: tuple[JobKind, ...] = (
    BACKFILL,
    FETCH,
    MARKETS,
    EXPORT,
    AUDIT_EXPORT,
    ACCOUNT_EXPORT,
    UPLOAD,
    BACKTEST,
    ORDER_BATCH,
    REBALANCE,
    TRANSFER,
)
