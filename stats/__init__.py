"""The read side: bars made from what the store holds."""
