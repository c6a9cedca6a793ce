"""The orchestrator: prompts, the scheduler loop, guidance and placement; calls the stages over gRPC, without torch."""
