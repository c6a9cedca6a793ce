"""What callers bring: images, as text or by their addresses."""
