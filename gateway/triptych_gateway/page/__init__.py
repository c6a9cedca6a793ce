"""The page at `/`: static files that speak `/api/v1` and nothing else."""
