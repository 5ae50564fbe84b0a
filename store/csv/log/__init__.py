"""The commit log of one symbol: its file, its history, and the index of its commits."""
