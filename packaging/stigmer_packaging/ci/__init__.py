"""The workflows of .github: written, linted, and rehearsed on this machine."""
