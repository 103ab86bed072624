"""The workflows in .github: parsed, checked, linted, and rehearsed on this machine."""
