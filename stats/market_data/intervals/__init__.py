"""Which intervals a query asks for, and the window of a range."""
