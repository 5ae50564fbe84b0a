"""Sale conditions of the Consolidated Tape System (tapes A and B)."""

from store.datasets import TRADES
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

CTA = ConditionMap(
    "cta",
    "Consolidated Tape System, Multicast Output Binary Specification (https://www.ctaplan.com), sale conditions",
    "1.91, 2020-01-02",
    {TRADES.name: _TRADES},
)
