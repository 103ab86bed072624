"""Where the program begins. The version is answered before anything else is imported."""

import sys

from stigmer_launcher.version import NAME, VERSION


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit code."""
    if arguments in (["--version"], ["-V"]):
        print(NAME, VERSION)  # noqa: T201 - what a program's answer is
        return 0
    import gc
    import os

    gc.disable()  # a command ends before there is anything worth collecting; who stays longer enables it again

    from stigmer_launcher.cli.main import main

    return main(arguments, os.environ, sys.stdout, sys.stderr)


def leave(code: int) -> None:
    """Exit without finalizing the interpreter, which takes longer than most commands."""
    import os

    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    leave(run(sys.argv[1:]))
