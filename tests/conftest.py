"""Conditions for every test, however the tests were started."""

import signal

# A shell's background job ignores SIGINT, and the programs that the tests start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
