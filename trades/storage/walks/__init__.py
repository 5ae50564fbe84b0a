"""What is told of a log through the protocol of stores alone: walks over it, coverage, quote bars of windows."""
