"""What-if: the inputs of an account done again under other limits, in memory."""
