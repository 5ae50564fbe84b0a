"""Tests of the services of trading, without HTTP."""
