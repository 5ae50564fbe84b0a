"""Settings, URLs, problem responses, the web front and the processes."""
