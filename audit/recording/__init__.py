"""Records API calls while they are answered."""
