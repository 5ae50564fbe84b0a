"""What queries may say: fields, intervals, resolutions."""
