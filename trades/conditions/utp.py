"""Sale conditions of the UTP Trade Data Feed (tape C)."""

from store.datasets import TRADES
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

UTP = ConditionMap(
    "utp",
    "UTP Plan, Trade Data Feed (UTDF) interface specification (https://www.utpplan.com), sale condition modifiers",
    "with V and 7 as redefined by UTP Vendor Alert 2015-4",
    {TRADES.name: _TRADES},
)
