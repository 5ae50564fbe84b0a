"""Trading: accounts, orders, executions, positions, risk and performance, and the engine that fills orders."""
