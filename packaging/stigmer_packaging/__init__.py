"""Builds, audits, verifies and publishes the bottles of a product described by a manifest."""
