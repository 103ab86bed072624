"""Entry point of the agent runner; its only arguments are its two selftests. See the README of the reference stack."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent_runner.config import Config, ConfigError, load_config
from dotenv import load_dotenv

LOG = logging.getLogger("agent_runner")


def main(arguments: list[str]) -> int:
    """Run to the end and give the exit code: 0 after a signal, 1 when the start failed."""
    if arguments == ["--selftest"]:
        from agent_runner.selftest import selftest

        sys.stdout.write(selftest() + "\n")
        return 0
    _load_dotenv()
    _log_to_stderr(os.environ.get("LOG_LEVEL", "INFO"))
    try:
        config = load_config(os.environ)
    except ConfigError as error:
        LOG.critical("Failed to load configuration: %s", error)
        LOG.critical("STARTUP FAILURE: Configuration Error")
        return 1
    return _serve(config, selftest=arguments == ["--selftest-workflow"])


def _serve(config: Config, *, selftest: bool) -> int:
    from agent_runner.worker import StartError, run_workflow, serve

    try:
        asyncio.run(run_workflow(config) if selftest else serve(config))
    except StartError as error:
        LOG.critical("STARTUP FAILURE: Connection Error: %s", error)
        return 1
    return 0


def _load_dotenv() -> None:
    """Load `.env` of the current directory, else the one beside this file; what is set already stays."""
    for path in (Path.cwd() / ".env", Path(__file__).with_name(".env")):
        if path.is_file():
            load_dotenv(path, override=False)
            return


def _log_to_stderr(level: str) -> None:
    known = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(level=known, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")


def leave(code: int) -> None:
    """End the process at once, with everything printed.

    Tearing down an interpreter that holds the language model stack takes over half a second, for nothing: all that
    had to be closed is closed. Whoever stops us waits for exactly this.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
