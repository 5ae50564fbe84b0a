"""The table of the kinds of jobs."""

from jobs.backfills.kinds import BACKFILL
from jobs.exports.audit_log import AUDIT_EXPORT
from jobs.exports.views import EXPORT
from jobs.fetches.services import FETCH, MARKETS
from jobs.gap_reports import GAP_REPORT
from jobs.kinds import JobKind
from jobs.uploads.services import UPLOAD
from trading.api.backtests import BACKTEST
from trading.api.exports import ACCOUNT_EXPORT
from trading.api.rebalances import REBALANCE
from trading.api.transfers import TRANSFER

KINDS: tuple[JobKind, ...] = (
    BACKFILL,
    GAP_REPORT,
    FETCH,
    MARKETS,
    EXPORT,
    AUDIT_EXPORT,
    ACCOUNT_EXPORT,
    UPLOAD,
    BACKTEST,
    REBALANCE,
    TRANSFER,
)
