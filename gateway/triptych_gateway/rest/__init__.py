"""REST of our own, under `/api/v1`."""
