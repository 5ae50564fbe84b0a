"""Exchanges' sessions: their calendars, trading dates, and the windows that bars are cut to."""
