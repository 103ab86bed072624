"""Parsing Python sources in one thread at a time, and finding what they import."""

import ast
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stigmer_packaging.lib.syntax import imported_names, parse_source


def test_imports_are_found_anywhere_in_a_source() -> None:
    source = "import os.path\nfrom json import decoder\ndef f():\n    import hashlib as h\n    from . import own\n"
    assert imported_names(source) == {"os.path", "json", "json.decoder", "hashlib"}


def test_no_two_threads_parse_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Python 3.11, that occasionally raises a SystemError."""
    meeting = threading.Barrier(2)

    def wait_for_another(*_: Any, **__: Any) -> ast.Module:
        with pytest.raises(threading.BrokenBarrierError):
            meeting.wait(0.1)
        meeting.reset()
        return ast.Module([], [])

    monkeypatch.setattr(ast, "parse", wait_for_another)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(parse_source, ""), threads.submit(parse_source, "")]
    assert [one.result().body for one in waiting] == [[], []]
