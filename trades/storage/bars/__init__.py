"""From ordered rows to bars: prints, mergeable aggregates of them, bars of intervals, spans and sessions."""
