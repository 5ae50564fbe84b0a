"""Services of strategies: assign one to an account, or take it away."""

from trading.core.events import StrategyAssigned, StrategyChoice
from trading.exceptions import StrategyNameTaken
from trading.journal import open_journal
from trading.lease import engine_status
from trading.market.symbols import market
from trading.models import Account


def strategy_assign(*, account: Account, strategy: StrategyChoice | None, by: str) -> None:
    """Have the engine decide by a strategy from now on; by none with None. What it holds and orders stays.

    Assigned anew, also with the same values, a strategy begins without what it remembered. The strategy's name,
    parameters and symbols were checked. Raises StrategyNameTaken.
    """
    with open_journal(account.name) as journal:
        state = journal.state
        if strategy is not None and strategy.name == state.preferences.model:
            raise StrategyNameTaken(f"the account's model is called {strategy.name}, too")
        if strategy is None and state.assignment is None:
            return
        commits: dict[str, str] = {}
        for symbol in () if strategy is None else strategy.symbols:
            commits |= market().heads(symbol, state.currency)
        event = StrategyAssigned(strategy=strategy, commits=commits, by=by)
        journal.record(event, at_ns=engine_status().now_ns)
