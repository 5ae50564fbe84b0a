"""How calls are recorded while they are answered."""
