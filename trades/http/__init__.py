"""How requests are read, strictly, and answers are tagged."""
