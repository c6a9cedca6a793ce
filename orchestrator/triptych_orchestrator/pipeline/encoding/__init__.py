"""The encoder stage: what prompts and pictures become before a UNet looks at them, remembered by what was asked."""
