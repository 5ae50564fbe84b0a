"""Quote conditions whose quotes take no part in the best bid and offer.

Sources: UTP Plan, Quotation Data Feed (UQDF) interface specification of 2005-03-07, section 7.5.2.2, which lists the
conditions of its national best bid and offer (A, B, H, O, R and Y). For the CTA plan, whose Consolidated Quotation
System (CQS) has other letters: C. Holden and S. Jacobsen, "Liquidity Measurement Problems in Fast, Competitive
Markets", Journal of Finance 69 (2014), which keeps A, B, H, O, R and W.
"""

# The words that `trades.conditions` stores for the other letters, and the word of prints that a vendor distrusts.
INELIGIBLE: frozenset[str] = frozenset(
    (
        "closing_quote",
        "closed_quote",
        "non_firm",
        "gap_bid",
        "gap_ask",
        "intraday_auction",
        "fast_trading",
        "order_imbalance",
        "order_influx",
        "no_open",
        "suspicious",
    )
)
