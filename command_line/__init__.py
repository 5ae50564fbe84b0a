"""What commands of all apps have in common. Knows none of them."""
