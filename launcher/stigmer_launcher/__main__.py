"""Where the program begins. The version is answered before anything else is imported."""

import os
import sys

from stigmer_launcher.version import NAME, VERSION


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit code."""
    if arguments in (["--version"], ["-V"]) and sys.stdout:
        try:
            print(NAME, VERSION, flush=True)  # noqa: T201 - what a program's answer is
        except OSError:
            pass  # `main` fails in the same way, and explains it
        else:
            return 0
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_closed_streams()
    import gc

    gc.disable()  # a command ends before there is anything worth collecting; who stays longer enables it again

    from stigmer_launcher.cli.main import main

    return main(arguments, os.environ, sys.stdout, sys.stderr)


def _open_closed_streams() -> None:
    """Read nothing and print nowhere where a standard stream was closed.

    Otherwise the next file that is opened, such as a lock, gets the number 0, 1 or 2 and is taken for the terminal.
    """
    for name in ("stdin", "stdout", "stderr"):  # in the order of their numbers: a file gets the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - for life


if __name__ == "__main__":
    # Everything is flushed. Finalizing the interpreter takes longer than most commands.
    os._exit(run(sys.argv[1:]))
