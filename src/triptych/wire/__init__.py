"""What crosses a wire: errors as gRPC statuses, and the calls to the stages."""
