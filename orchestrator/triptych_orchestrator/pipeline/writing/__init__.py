"""Pictures as files that say how they were made."""
