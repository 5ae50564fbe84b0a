"""Where rows stand in an answer, and the cursors that say so."""
