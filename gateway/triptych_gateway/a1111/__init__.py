"""The A1111 web UI's API, under `/sdapi/v1`, as its clients use it."""
