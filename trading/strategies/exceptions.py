"""What can be wrong with a strategy or a backtest that is asked for."""


class StrategyError(ValueError):
    """The base of these errors. The message says what to correct."""


class UnknownStrategy(StrategyError):
    """There is no strategy of this name."""


class InvalidParameters(StrategyError):
    """A parameter is unknown, missing, or not within its bounds."""
