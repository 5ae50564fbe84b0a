"""docs/limits.md says what the tiers and the rules of cost are."""

import re

from django.conf import settings

from ratelimit.entitlements import TIERS
from ratelimit.limits.costs import COST_RULES
from ratelimit.limits.token_bucket import burst_of
from web.requests.work import WorkKind

PAGE = (settings.BASE_DIR / "docs" / "limits.md").read_text()


def test_the_table_lists_the_tiers():
    rows = re.findall(
        r"^\| `(\w+)` \| ([\d,]+)(?:/s)? \| ([\d,]+) \| ([\d,]+|no quota) \| ([\d,]+|no quota) \|$",
        PAGE,
        re.MULTILINE,
    )
    assert [[cell.replace(",", "") for cell in row] for row in rows] == [
        [
            tier.name,
            str(tier.rate),
            str(burst_of(tier.rate)),
            quota(tier.daily_quota),
            quota(tier.monthly_quota),
        ]
        for tier in TIERS.values()
    ]


def quota(tokens: int | None) -> str:
    return "no quota" if tokens is None else str(tokens)


def test_the_page_has_the_prices_of_work():
    table = PAGE.partition("One token pays")[2].partition("The work of a call")[0]
    prices = re.findall(r"\| ([\d,]+)( MiB)? \|$", table, re.MULTILINE)
    amounts = [int(amount.replace(",", "")) * (2**20 if unit else 1) for amount, unit in prices]
    assert amounts == [kind.per_token for kind in (WorkKind.ROWS, *WorkKind)]


def test_the_page_lists_the_rules_of_cost():
    for rule in COST_RULES.values():
        assert f"| `{rule.name}` | {rule.description} |" in PAGE
