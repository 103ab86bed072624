"""Helpers that write config.yaml and run `stigmer config`."""

import io
import os
from pathlib import Path

from stigmer_launcher.cli.main import main
from stigmer_launcher.config import file as config_file
from stigmer_launcher.system.places import Places

UPSTREAM = """\
# Stigmer CLI Configuration
backend:
  type: local
  local:
    endpoint: localhost:7234
    data_dir: /home/ada/.stigmer/data
    llm:
      provider: anthropic
      model: claude-sonnet-4.5
      base_url: https://api.anthropic.com
    temporal:
      managed: true
      version: 1.5.1
      port: 7233
    execution:
      mode: sandbox
      sandbox_image: example.org/image:latest
      auto_pull: true
      cleanup: false
      ttl: 60
"""


def write(places: Places, text: str) -> config_file.Config:
    put(places, text.encode())
    return config_file.read_config(places.config)


def put(places: Places, content: bytes) -> None:
    """Write config.yaml without checking its content."""
    Path(places.home).mkdir(exist_ok=True)
    Path(places.config).write_bytes(content)


def config(places: Places, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `stigmer config`; return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = main(("config", *arguments), {"STIGMER_HOME": places.home, "PATH": os.environ["PATH"], **environ}, out, err)
    return code, out.getvalue(), err.getvalue()
