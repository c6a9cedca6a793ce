"""What HTTP costs beside gRPC."""
