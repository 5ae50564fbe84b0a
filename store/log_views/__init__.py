"""Views of logs as of a commit: rows, coverage, quote bars; bars from trades and stored bars."""
