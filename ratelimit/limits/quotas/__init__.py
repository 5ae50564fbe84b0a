"""Quotas of days and months: what they are, what is booked of them, what is at hand."""
