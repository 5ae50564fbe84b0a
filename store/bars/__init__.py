"""From ordered rows to bars: mergeable aggregates, bars of intervals, spans and sessions; bars of quotes."""
