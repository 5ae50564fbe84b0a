"""The dataset of bars: adjusted, with what changed of them."""
