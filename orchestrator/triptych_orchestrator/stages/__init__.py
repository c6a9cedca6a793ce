"""The stages' servers: one, its replicas, which of them is ready, and what a request had of them."""
