"""Trading calendars of exchanges: trading dates, sessions, and the intervals of bars within them."""
