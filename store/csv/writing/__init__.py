"""From batches and corrections to commits of one log."""
