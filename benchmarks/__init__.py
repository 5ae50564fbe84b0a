"""`make bench`: measures speed and memory against other programs (peers) and limits, in one run. Asserts nothing."""
