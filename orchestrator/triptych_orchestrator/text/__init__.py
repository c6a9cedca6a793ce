"""From a prompt's text to token ids, and what is written in it besides."""
