"""What every test may rely on, however the tests were started."""

import signal

# A background job of a shell ignores Ctrl-C, and so would every program the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
