"""Condition numbers of Polygon.io (Massive) for United States stocks."""

from store.datasets import TRADES
from trades.conditions.condition_map import ConditionMap, codes_of

_TRADES = codes_of(
    """
    0  regular                        Regular Sale
    1  acquisition                    Acquisition
    2  average_price                  Average Price Trade
    3  automatic_execution            Automatic Execution
    4  bunched                        Bunched Trade
    5  bunched_sold                   Bunched Sold Trade
    7  cash                           Cash Sale
    8  closing_print                  Closing Prints
    9  cross                          Cross Trade
    10 derivatively_priced            Derivatively Priced
    11 distribution                   Distribution
    12 extended_hours                 Form T
    13 extended_hours;out_of_sequence Extended Trading Hours (Sold Out of Sequence)
    14 intermarket_sweep              Intermarket Sweep
    15 official_close                 Market Center Official Close
    16 official_open                  Market Center Official Open
    17 opening_print                  Market Center Opening Trade
    18 reopening_print                Market Center Reopening Trade
    19 closing_print                  Market Center Closing Trade
    20 next_day                       Next Day
    21 price_variation                Price Variation Trade
    22 prior_reference_price          Prior Reference Price
    23 rule_127_or_155                Rule 155 Trade (AMEX)
    24 rule_127_or_155                Rule 127 NYSE
    25 opening_print                  Opening Prints
    27 stopped_stock                  Stopped Stock (Regular Trade)
    28 reopening_print                Re-Opening Prints
    29 seller                         Seller
    30 sold_last                      Sold Last
    33 out_of_sequence                Sold (Out of Sequence)
    34 split_trade                    Split Trade
    35 stock_option                   Stock Option
    36 yellow_flag                    Yellow Flag Regular Trade
    37 odd_lot                        Odd Lot Trade
    38 corrected_close                Corrected Consolidated Close (per listing market)
    41 trade_through_exempt           Trade Thru Exempt
    52 contingent                     Contingent Trade
    53 qualified_contingent           Qualified Contingent Trade ("QCT")
    """
)

# Numbers without a rule in the list (6, 26, 32, 39, 40, 42 to 51, 54 to 59) are left out, so that they are
# reported as unknown.
POLYGON = ConditionMap(
    "polygon",
    "Polygon.io (Massive), glossary of conditions and indicators (https://polygon.io/glossary/us/stocks/conditions-indicators)",
    "read 2026-11-22",
    {TRADES.name: _TRADES},
)
