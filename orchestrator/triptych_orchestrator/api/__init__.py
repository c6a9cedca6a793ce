"""gRPC, in and out."""
