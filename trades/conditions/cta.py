"""Sale conditions (CTS) and quote conditions (CQS) of the Consolidated Tape Association (tapes A and B)."""

from store.datasets import QUOTES, TRADES
from trades.conditions.condition_map import ConditionMap, codes_of

_TRADES = codes_of(
    """
    @ regular                        Regular Sale
    B average_price                  Average Price Trade
    C cash                           Cash Trade (Same Day Clearing)
    E automatic_execution            Automatic Execution
    F intermarket_sweep              Intermarket Sweep Order
    H price_variation                Price Variation Trade
    I odd_lot                        Odd Lot Trade
    K rule_127_or_155                Rule 127 (NYSE) or Rule 155 (NYSE American)
    L sold_last                      Sold Last (Late Reporting)
    M official_close                 Market Center Official Close
    N next_day                       Next Day Trade (Next Day Clearing)
    O opening_print                  Market Center Opening Trade
    P prior_reference_price          Prior Reference Price
    Q official_open                  Market Center Official Open
    R seller                         Seller
    T extended_hours                 Extended Hours Trade
    U extended_hours;out_of_sequence Extended Hours Sold (Out of Sequence)
    V contingent                     Contingent Trade
    X cross                          Cross Trade
    Z out_of_sequence                Sold (Out of Sequence)
    4 derivatively_priced            Derivatively Priced
    5 reopening_print                Market Center Reopening Trade
    6 closing_print                  Market Center Closing Trade
    7 qualified_contingent           Qualified Contingent Trade
    9 corrected_close                Corrected Consolidated Close Price
    """
)

_QUOTES = codes_of(
    """
    A slow_ask          Slow Quote on the Offer Side
    B slow_bid          Slow Quote on the Bid Side
    C closing_quote     Closing Quote
    E slow_bid;gap_bid  Slow Quote due to LRP or Gap Quote on the Bid Side
    F slow_ask;gap_ask  Slow Quote due to LRP or Gap Quote on the Offer Side
    H slow_bid;slow_ask Slow Quote on the Bid and Offer Sides
    L closed_quote      Closed Market Maker (FINRA)
    N non_firm          Non-Firm Quote
    O opening_quote     Opening Quote
    R regular           Regular Quote
    U gap_bid;gap_ask   Slow Quote due to LRP or Gap Quote on Both the Bid and Offer Sides
    W slow_list         Slow Quote due to Set Slow List on Both the Bid and Offer Sides
    4 intraday_auction  On Demand Intra-Day Auction
    """
)

CTA = ConditionMap(
    "cta",
    "Consolidated Tape System and Consolidated Quotation System, Multicast Output Binary Specifications (https://www.ctaplan.com), sale and quote conditions",
    "CTS 1.91, 2020-01-02; CQS 2.9b, 2021-01-26",
    {TRADES.name: _TRADES, QUOTES.name: _QUOTES},
)
