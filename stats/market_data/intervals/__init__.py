"""The intervals of bars, and the windows in which a query reads rows."""
