"""`python -m stigmer_packaging STAGE`."""

import sys

from stigmer_packaging.cli import run

sys.exit(run(sys.argv[1:]))
