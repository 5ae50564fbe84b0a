"""The engine: one process of the installation that fills orders and does what time does to accounts."""
