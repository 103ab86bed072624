"""Entry point of the program. Prints the version before it imports anything else."""

import os
import sys

from stigmer_launcher.version import NAME, VERSION


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    if arguments in (["--version"], ["-V"]) and sys.stdout:
        try:
            print(NAME, VERSION, flush=True)  # noqa: T201 - the output of the command
        except OSError:
            pass  # `main` fails in the same way, and reports it
        else:
            return 0
    # The next file that is opened, such as a lock, would get the number of a closed stream and be taken for the terminal.
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers: a file gets the lowest free one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - never closed
    if os.getpid() == 1:  # of a container: the kernel discards a signal without a handler
        import signal

        signal.signal(signal.SIGTERM, signal.default_int_handler)
    import gc

    gc.disable()  # most commands end before there is anything worth collecting; the supervisor enables it again

    try:
        from stigmer_launcher.cli.main import main

        return main(arguments, os.environ, sys.stdout, sys.stderr)
    except KeyboardInterrupt:  # while the modules are imported; `main` handles a later one
        return 130  # errors.INTERRUPTED, which may not be loaded yet


if __name__ == "__main__":
    # Everything is flushed. Finalizing the interpreter takes longer than most commands.
    os._exit(run(sys.argv[1:]))
