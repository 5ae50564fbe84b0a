"""Ratios against peers and limits, measured side by side in one run: `make bench`. Nothing is asserted."""
