"""The running stack: its supervisor, its processes, and the state that others read."""
