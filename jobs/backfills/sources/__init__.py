"""Where missing rows come from. `registry` has the configured sources, `order` asks them one after the other."""
