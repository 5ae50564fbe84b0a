"""The layouts of vendors' files, as data."""

from trades.imports.symbols import SymbolSpelling
from trades.imports.vendors.algoseek import ALGOSEEK_LAYOUTS
from trades.imports.vendors.alpaca import ALPACA_LAYOUTS
from trades.imports.vendors.databento import DATABENTO_LAYOUTS
from trades.imports.vendors.exports import EXPORTS, IB_SYMBOLS
from trades.imports.vendors.layout import VendorLayout
from trades.imports.vendors.marketdata import MARKETDATA, MARKETDATA_LAYOUTS
from trades.imports.vendors.polygon import POLYGON_LAYOUTS, POLYGON_SYMBOLS
from trades.imports.vendors.wrds import WRDS_LAYOUTS, WRDS_SYMBOLS

VENDOR_LAYOUTS: dict[str, tuple[VendorLayout, ...]] = {
    MARKETDATA: MARKETDATA_LAYOUTS,
    "polygon": POLYGON_LAYOUTS,
    "databento": DATABENTO_LAYOUTS,
    "alpaca": ALPACA_LAYOUTS,
    "wrds": WRDS_LAYOUTS,
    "algoseek": ALGOSEEK_LAYOUTS,
    **EXPORTS,
}
SYMBOL_RULES: dict[str, SymbolSpelling] = {"polygon": POLYGON_SYMBOLS, "ib": IB_SYMBOLS, "wrds": WRDS_SYMBOLS}
