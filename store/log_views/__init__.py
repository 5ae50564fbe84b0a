"""Logs seen through the protocol of stores alone: walks over their rows, coverage, quote bars of windows."""
