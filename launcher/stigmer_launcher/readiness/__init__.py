"""Whether a service is ready, asked over gRPC."""
