"""The names whose values the audit log records."""

# The query parameters of all endpoints, and the body fields of those with an audit class. The audit log records
# their values and masks all others. A test compares the list with the OpenAPI document.
RECORDED_NAMES = frozenset(
    """
    account accounts activity_types adjust adjustment after aliases allow_nonpositive_price amount anchor as_of asof asset_class
    at bar_policy base_currency before_expiry by calendar caller cancel_orders cash_buffer caution certificate class
    client_order_id collar complete_until conditions correlation_id coverage currency cursor daily_loss daily_quota danger date
    date_end date_start days dedupe direction dividend_yield end event exchange exercise expiration_date expiration_date_gte
    expiration_date_lte expires_at expiry expiry_from expiry_to extended_hours feed fields fill format from gap_rule halt
    heartbeat_seconds hours id interval intraday_reporting kind knowledge last latency_ms legs limit
    limit_price max_gross_exposure max_risk_level max_symbol_exposure method minimum_trade model monthly_quota
    multiplier name nested networks notional offset on_conflict only_old order_class orders orders_per_minute overlap_seconds owner
    page_size page_token parameters partial participation path percentage period pnl_reset position_intent prefix preview
    preview_id qty quantity quiet rate reason reduce_only release_halt requires_signature resolution right
    risk_level roll roll_before root_symbol rule scopes search sensitivity session settle settlement side signed_only since
    sort source stale_after_seconds start state status status_class stop_loss stop_price strategy strike strike_price_gte
    strike_price_lte symbol symbol_as_of symbols take_profit tick_size tier time time_in_force timeframe
    timeout_seconds to total_loss trading_rate trail trail_percent trail_price trailer type underlying
    unknown unknown_conditions until updated_since volume_kind weight weights
    """.split()  # noqa: SIM905 names are read as words
)
