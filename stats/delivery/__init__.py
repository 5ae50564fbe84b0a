"""From a pinned query to the response: tag, encoding, headers, bytes."""
