"""Trading calendars of exchanges: their trading dates and sessions. Needs neither the store nor Django."""
