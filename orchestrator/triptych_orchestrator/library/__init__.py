"""What can be drawn with: checkpoints and LoRAs by name, kept over restarts."""
