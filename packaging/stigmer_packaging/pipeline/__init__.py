"""Plan and carry out a release: the steps, the stages' calls, and what they depend on."""
