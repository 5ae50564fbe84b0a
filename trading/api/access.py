"""What calls of trading require and cost."""

from web.endpoints import CLOSING, TRADING, WRITE, Access

ACCOUNT_READ = Access("trading:read", sensitivity="confidential")
ACCOUNT_PAGE = Access("trading:read", sensitivity="confidential", cost="page")
ACCOUNT_CHANGE = Access("trading:write", sensitivity="confidential", kind=WRITE, audit_class="trading")
ORDER_CHANGE = Access("trading:write", sensitivity="confidential", kind=TRADING, audit_class="trading")
CLOSE = Access(
    "trading:write", sensitivity="confidential", kind=CLOSING, cost="unmetered", audit_class="trading"
)
RISK_CHANGE = Access("risk:write", sensitivity="confidential", kind=WRITE, audit_class="risk")
# Submits a job that computes for long from an account's or the market's past.
REPLAY = Access("trading:read", sensitivity="confidential", kind=WRITE, cost="stream")
