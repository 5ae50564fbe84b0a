"""The engine: one process that works through the logs in one order, and does what follows from them."""
