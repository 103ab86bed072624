"""Name and version of this launcher, and facts of its product; the freeze stage replaces them with the manifest's."""

NAME = "stigmer"
VERSION = "0.0.0+checkout"
SUMMARY = "run AI workflows on your own machine"
PORTS = {"temporal": (7233, "temporal"), "temporal-ui": (8233, "temporal"), "server": (7234, "stigmer-server")}
OVERRIDES = ("STIGMER_TEMPORAL_BIN", "STIGMER_SERVER_BIN", "STIGMER_WORKFLOW_RUNNER_BIN", "STIGMER_AGENT_RUNNER_BIN")
