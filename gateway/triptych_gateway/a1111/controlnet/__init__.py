"""The web UI's ControlNet extension: `/controlnet/*`, and its units in `alwayson_scripts`."""
