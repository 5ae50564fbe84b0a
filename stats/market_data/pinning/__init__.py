"""What an answer reads, fixed to commits before anything is read."""
