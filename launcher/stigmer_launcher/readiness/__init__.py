"""Readiness and liveness probes over TCP, HTTP/2 and gRPC."""
