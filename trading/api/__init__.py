"""The endpoints of trading."""
