"""What crosses a wire: errors as gRPC statuses, and a LoRA's file with all that belongs to it."""
