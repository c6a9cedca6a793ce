"""The LoRAs of the library: their files, their names, and which of them a request means."""
