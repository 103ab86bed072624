"""Entry point of the agent runner; the only options are two selftests. See the README of the reference stack."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent_runner.config import Config, ConfigError, load_config
from dotenv import load_dotenv

LOG = logging.getLogger("agent_runner")


def main(arguments: list[str]) -> int:
    """Run until a signal; return the exit code: 0, or 1 if the start failed."""
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
    """Load `.env` from the current directory, or else the one beside this file; variables already set are kept."""
    for path in (Path.cwd() / ".env", Path(__file__).with_name(".env")):
        if path.is_file():
            load_dotenv(path, override=False)
            return


def _log_to_stderr(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(level=number, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")


def leave(code: int) -> None:
    """Flush all output and exit without finalizing the interpreter.

    Finalization takes over half a second with the language model stack loaded, which would delay every stop, and
    everything that must be closed is closed already.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
