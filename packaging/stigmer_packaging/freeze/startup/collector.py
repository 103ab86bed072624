"""Start hook: keep the cyclic garbage collector out of a program's imports.

Modules live until the program ends, so a collection during the imports finds nothing and visits everything. The collector is
off until no module has been imported for a second. What is in memory then is frozen: later collections do not visit it.
"""

import gc
import sys
import threading
import time

_INTERVAL = 0.25  # seconds between two looks
_QUIET_LOOKS = 4  # looks in a row without a new module, after which the imports are over
_MOST_LOOKS = 240


def _wait_for_imports() -> None:
    quiet, known = 0, 0
    for _ in range(_MOST_LOOKS):
        time.sleep(_INTERVAL)
        quiet = quiet + 1 if len(sys.modules) == known else 0
        known = len(sys.modules)
        if quiet == _QUIET_LOOKS:
            return


def _enable_after_imports() -> None:
    _wait_for_imports()
    gc.freeze()
    gc.enable()


gc.disable()
threading.Thread(target=_enable_after_imports, name="collector", daemon=True).start()
