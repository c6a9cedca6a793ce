"""An engine run and refitted on its GPU."""
