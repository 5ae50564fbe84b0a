"""One log at one commit: its rows, coverage and quote bars; bars of trades and stored bars on a grid."""
