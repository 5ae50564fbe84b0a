"""Sale conditions of the UTP Trade Data Feed and quote conditions of the UTP Quotation Data Feed (tape C)."""

from store.datasets import QUOTES, TRADES
from trades.conditions.condition_map import ConditionMap, codes_of

_TRADES = codes_of(
    """
    @ regular                        Regular Trade
    A acquisition                    Acquisition
    B bunched                        Bunched Trade
    C cash                           Cash Sale
    D distribution                   Distribution
    F intermarket_sweep              Intermarket Sweep
    G bunched_sold                   Bunched Sold Trade
    H price_variation                Price Variation Trade
    I odd_lot                        Odd Lot Trade
    K rule_127_or_155                Rule 155 Trade (AMEX)
    L sold_last                      Sold Last
    M official_close                 Market Center Official Close
    N next_day                       Next Day
    O opening_print                  Opening Prints
    P prior_reference_price          Prior Reference Price
    Q official_open                  Market Center Official Open
    R seller                         Seller
    S split_trade                    Split Trade
    T extended_hours                 Form T
    U extended_hours;out_of_sequence Extended Trading Hours (Sold Out of Sequence)
    V contingent                     Contingent Trade
    W average_price                  Average Price Trade
    X cross                          Cross Trade
    Y yellow_flag                    Yellow Flag Regular Trade
    Z out_of_sequence                Sold (Out of Sequence)
    1 stopped_stock                  Stopped Stock (Regular Trade)
    4 derivatively_priced            Derivatively Priced
    5 reopening_print                Re-Opening Prints
    6 closing_print                  Closing Prints
    7 qualified_contingent           Qualified Contingent Trade
    8 trade_through_exempt           Placeholder for 611 Exempt
    9 corrected_close                Corrected Consolidated Close (per listing market)
    """
)

_QUOTES = codes_of(
    """
    A slow_ask                   Manual Ask, Automatic Bid
    B slow_bid                   Manual Bid, Automatic Ask
    F fast_trading               Fast Trading
    H slow_bid;slow_ask          Manual Bid and Ask
    I order_imbalance            Order Imbalance
    L closed_quote               Closed Quote
    N non_firm                   Non-Firm Quote
    O opening_quote              Opening Quote
    R regular                    Regular, Two-Sided Open Quote
    U slow_bid;slow_ask;non_firm Manual Bid and Ask (Non-Firm)
    X order_influx               Order Influx
    Y regular                    Regular, One-Sided Open Quote
    Z no_open                    No Open/No Resume
    """
)

UTP = ConditionMap(
    "utp",
    "UTP Plan, Trade Data Feed (UTDF) and Quotation Data Feed (UQDF) interface specifications (https://www.utpplan.com), sale condition modifiers and quote conditions",
    "UTDF with V and 7 as redefined by UTP Vendor Alert 2015-4; UQDF of 2005-03-07",
    {TRADES.name: _TRADES, QUOTES.name: _QUOTES},
)
