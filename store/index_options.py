"""The terms of listed US index options, by the root of their OCC symbol.

They are the terms of today's listings. A declared instrument's terms override them. The root decides about the
settlement, not the date: PM-settled options that expire on a third Friday, too, have a root of their own (SPXW, RUTW,
NDXP).
"""

from types import MappingProxyType
from typing import Literal, NamedTuple

_SPX = "Cboe, SPX Options Product Specification: cboe.com/products/indexopts/spx_spec.aspx"
_SPXPM = (
    "Cboe, S&P 500 Index Options, PM-Settled: converted to SPXW on 2017-05-01, Regulatory Circular RG17-002"
)
_XSP = "Cboe, XSP Specification: cboe.com/tradable_products/sp_500/mini_spx_options/specifications"
_OEX = "Cboe, S&P 100 Index Options: cboe.com/products/stock-index-options-spx-rut-msci-ftse/s-p-100-index-options-oex-xeo"
_XEO = "Cboe, XEO Options Product Specification: cboe.com/Products/indexopts/xeo_spec.aspx"
_DJX = "Cboe, DJX Product Specification: cboe.com/products/indexopts/djx_spec.aspx"
_RUT = "Cboe, Comparison of Russell 2000 Index Options: cboe.com/tradable-products/ftse-russell/russell-2000-index-options"
_MRUT = "Cboe, Mini-Russell 2000 Index Options: cboe.com/tradable_products/ftse_russell/mini_russell_2000_index_options"
_VIX = "Cboe, VIX Options: settled on Wednesday to the special opening quotation VRO, traded until the day before"
_VIXW = "Cboe, VIX Weeklys: the terms of the monthly options, cboe.com/micro/vix-weeklys"
_MXEA = "Cboe, MSCI EAFE Specification: cboe.com/tradable_products/msci/msci_index_options/msci_eafe_spec"
_MXEF = "Cboe, Comparison of MSCI Options: cboe.com/tradable_products/msci/msci_index_options"
_NDX = "Nasdaq, Nasdaq-100 Index Options: nasdaq.com/nasdaq-100-index-options"


class IndexOptionTerms(NamedTuple):
    """The terms of the options of one root. source: the exchange's page that states them.

    settlement: `am` options settle to the opening of their expiry date and trade until the date before.
    """

    underlying: str
    exercise: Literal["american", "european"]
    settlement: Literal["am", "pm"]
    source: str


INDEX_OPTIONS = MappingProxyType(
    {
        "SPX": IndexOptionTerms("SPX", "european", "am", _SPX),
        "SPXW": IndexOptionTerms("SPX", "european", "pm", _SPX),
        "SPXPM": IndexOptionTerms("SPX", "european", "pm", _SPXPM),
        "XSP": IndexOptionTerms("XSP", "european", "pm", _XSP),
        "OEX": IndexOptionTerms("OEX", "american", "pm", _OEX),
        "XEO": IndexOptionTerms("XEO", "european", "pm", _XEO),
        "DJX": IndexOptionTerms("DJX", "european", "am", _DJX),
        "NDX": IndexOptionTerms("NDX", "european", "am", _NDX),
        "NDXP": IndexOptionTerms("NDX", "european", "pm", _NDX),
        "XND": IndexOptionTerms("XND", "european", "pm", _NDX),
        "RUT": IndexOptionTerms("RUT", "european", "am", _RUT),
        "RUTW": IndexOptionTerms("RUT", "european", "pm", _RUT),
        "MRUT": IndexOptionTerms("MRUT", "european", "pm", _MRUT),
        "VIX": IndexOptionTerms("VIX", "european", "am", _VIX),
        "VIXW": IndexOptionTerms("VIX", "european", "am", _VIXW),
        "MXEA": IndexOptionTerms("MXEA", "european", "pm", _MXEA),
        "MXEF": IndexOptionTerms("MXEF", "european", "pm", _MXEF),
    }
)
