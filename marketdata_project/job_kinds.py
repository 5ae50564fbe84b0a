"""The table of the kinds of jobs."""

from jobs.backfills.kinds import BACKFILL, GAP_REPORT, RECONCILIATION
from jobs.exports.kinds import EXPORT
from jobs.kinds import JobKind
from jobs.uploads.services import UPLOAD
from trading.api.backtests import BACKTEST
from trading.api.rebalances import REBALANCE
from trading.api.transfers import TRANSFER

KINDS: tuple[JobKind, ...] = (
    BACKFILL,
    GAP_REPORT,
    RECONCILIATION,
    EXPORT,
    UPLOAD,
    BACKTEST,
    REBALANCE,
    TRANSFER,
)
