"""The commit log of one symbol: its history, the index of its commits, and how it grows."""
