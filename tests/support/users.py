"""Users other than root: a user without files, and root without its privilege to write everything."""

import os
import shutil

import pytest

NOBODY = 65534
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""The beginning of a command that is then refused what permissions forbid; empty for a user who is not root."""

needs_unprivileged = pytest.mark.skipif(
    bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="as root, this needs setpriv"
)
