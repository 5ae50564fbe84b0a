"""The live feed: what is stored, sent to clients over WebSocket as it is stored."""
