"""What requests have besides numbers and texts, each with fields of its own."""
