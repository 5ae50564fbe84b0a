"""The store as trading sees it: terms, sessions, prices, rows that may fill orders."""
