"""Publish a release: rules, plan, GitHub, the tap, and the report that a maintainer reads first."""
