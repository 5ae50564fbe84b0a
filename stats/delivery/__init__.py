"""From a pinned query to what is sent: its tag, its encoding, its headers, its bytes."""
