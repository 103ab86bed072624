"""The phases of a service and the stages of the stack; the values are those that `status` prints."""

WAITING, STARTING, RUNNING, BACKOFF, TERMINATING = "waiting", "starting", "running", "pausing", "ending"
PROVING, FAILED, STOPPING, STOPPED = "proving", "failed", "stopping", "stopped"
DEGRADED = "degraded"  # a service that does not answer, and a running stack that lacks a service
CLEANING = "cleaning up"  # the stack, while the watchdog stops the services of a killed supervisor
