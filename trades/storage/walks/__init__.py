"""What is told of a log through the protocol of stores alone: walks, coverage, quote bars of windows."""
