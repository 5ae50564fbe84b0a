"""What the service counts of itself: declared, counted in each process, added up over all of them, exported."""
