"""The only client of other hosts. All other packages ask through a `Destination`."""
