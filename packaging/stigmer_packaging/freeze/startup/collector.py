"""Start hook: disables the cyclic garbage collector while a program imports its modules.

Modules live until the program ends, so a collection during the imports finds nothing and visits everything. The
collector is enabled once no module has been imported for a second, or after a minute. The objects in memory at that
time are frozen: later collections do not visit them.
"""

import gc
import sys
import threading
import time

_INTERVAL = 0.25  # seconds between two checks
_QUIET_CHECKS = 4  # consecutive checks without a new module, after which the imports are over
_MAX_CHECKS = 240


def _wait_for_imports() -> None:
    quiet, known = 0, 0
    for _ in range(_MAX_CHECKS):
        time.sleep(_INTERVAL)
        quiet = quiet + 1 if len(sys.modules) == known else 0
        known = len(sys.modules)
        if quiet == _QUIET_CHECKS:
            return


def _enable_after_imports() -> None:
    _wait_for_imports()
    gc.freeze()
    gc.enable()


gc.disable()
threading.Thread(target=_enable_after_imports, name="collector", daemon=True).start()
