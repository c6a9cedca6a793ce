"""What a checkpoint is, whatever it is called: its files as they were, their content, and what it tells of itself."""
