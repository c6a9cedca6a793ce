"""The files that torch writes, new and old: the pickle in them, and where each storage lies."""
