"""`python -m stigmer_packaging.cli STAGE`."""

import sys

from stigmer_packaging.cli.main import run

sys.exit(run(sys.argv[1:]))
