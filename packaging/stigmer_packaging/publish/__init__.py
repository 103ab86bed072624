"""Publish a release: rules, plan, GitHub, the tap, and the page a maintainer looks at before."""
