"""What of Django's request is left there by one part for others, by the attributes' names."""

# How it was admitted; without it nothing was charged.
ADMISSION = "admission"
