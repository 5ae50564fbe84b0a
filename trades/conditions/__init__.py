"""Vendors' condition codes, translated to the words of the bar policies. The maps are data, one module each."""

from trades.conditions.condition_map import ConditionMap
from trades.conditions.cta import CTA
from trades.conditions.databento import DATABENTO
from trades.conditions.polygon import POLYGON
from trades.conditions.utp import UTP

CONDITION_MAPS: dict[str, ConditionMap] = {each.name: each for each in (CTA, UTP, POLYGON, DATABENTO)}
