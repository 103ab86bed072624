"""The phases of a service and of the whole stack, as people and programs read them."""

WAITING, STARTING, RUNNING, BACKOFF, TERMINATING = "waiting", "starting", "running", "pausing", "ending"
PROVING, FAILED, STOPPING, STOPPED = "proving", "failed", "stopping", "stopped"
DEGRADED = "degraded"  # a service that does not answer, and a running stack that lacks a service
CLEANING = "cleaning up"  # what a stack is called whose supervisor was killed, while the watchdog stops its services
