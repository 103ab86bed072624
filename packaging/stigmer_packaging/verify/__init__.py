"""Try a bottle on machines that never saw a developer: sandbox, virtual machine, Mac, Homebrew."""
