"""The JSON documents of trading: what clients see of orders, executions, positions, limits and the rest.

Amounts are JSON numbers with the decimals' own digits, of which the first 15 are exact. Instants are RFC 3339 texts in
UTC. Documents know no tables, so that backtests make them without Django.
"""
