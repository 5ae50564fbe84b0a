"""Feeds keep symbols current: `FeedProcess` in `sources.feed.process` runs them."""
