"""Conditions for every test, however the tests were started."""

import signal

# A shell's background job ignores SIGINT, one of nohup(1) also SIGHUP, and the programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
