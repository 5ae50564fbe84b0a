"""The rules of trading as plain Python: an account's events, the state that follows from them, and its decisions.

No Django, no store, no clock and no calendar: events carry every number that was used, so that the same events give
the same state to the last digit.
"""
