"""OpenAI's images API, under `/v1`."""
