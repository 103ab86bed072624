"""Plans and executes a release: its steps, the calls of the stages, and the inputs they depend on."""
