"""The fortnight of the market data's tests, for those of exports."""

from tests.stats.market_data.conftest import market  # noqa: F401 a fixture
