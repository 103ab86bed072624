"""Where the program begins. The version is answered before anything else is imported."""

import sys

from stigmer_launcher.version import NAME, VERSION


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit code."""
    if arguments in (["--version"], ["-V"]) and sys.stdout and _print_version():
        return 0
    if None in (sys.stdin, sys.stdout, sys.stderr):
        open_closed_streams()
    import gc
    import os

    gc.disable()  # a command ends before there is anything worth collecting; who stays longer enables it again

    from stigmer_launcher.cli.main import main

    return main(arguments, os.environ, sys.stdout, sys.stderr)


def _print_version() -> bool:
    """Print the version; False when that fails, which `main` can explain."""
    try:
        print(NAME, VERSION, flush=True)  # noqa: T201 - what a program's answer is
    except OSError:
        return False
    return True


def open_closed_streams() -> None:
    """Read nothing and print nowhere where a standard stream was closed.

    Otherwise the next file that is opened, such as a lock, gets the number 0, 1 or 2 and is taken for the terminal.
    """
    import os

    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        pass
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - open for life


def leave(code: int) -> None:
    """Exit without finalizing the interpreter, which takes longer than most commands."""
    import os

    for stream in (sys.stdout, sys.stderr):
        try:
            if stream:
                stream.flush()
        except OSError:
            pass
    os._exit(code)


if __name__ == "__main__":
    leave(run(sys.argv[1:]))
