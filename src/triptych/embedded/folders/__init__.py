"""Folders and what is in them: state, runs, temporary files, shared memory."""
