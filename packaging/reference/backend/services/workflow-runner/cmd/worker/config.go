package main

import (
	"fmt"
	"os"

	"stigmer.ai/reference/backend/libs/service"
)

// config is the runner's configuration from environment variables.
type config struct {
	backendEndpoint string
	backendTLS      bool
	temporalAddress string
	namespace       string
	queues          [3]string
	concurrency     int
}

// loadConfig reads the environment. It fails if a required variable is missing, or if the mode is not `temporal`, the
// only one that the reference runner supports.
func loadConfig() (config, error) {
	if mode := os.Getenv("EXECUTION_MODE"); mode != "temporal" {
		return config{}, fmt.Errorf("EXECUTION_MODE is %q: this runner needs EXECUTION_MODE=temporal", mode)
	}
	for _, name := range []string{"STIGMER_BACKEND_ENDPOINT", "STIGMER_API_KEY"} {
		if os.Getenv(name) == "" {
			return config{}, fmt.Errorf("failed to load Stigmer config: %s is required", name)
		}
	}
	return config{
		backendEndpoint: os.Getenv("STIGMER_BACKEND_ENDPOINT"),
		backendTLS:      os.Getenv("STIGMER_SERVICE_USE_TLS") != "false",
		temporalAddress: service.Env("TEMPORAL_SERVICE_ADDRESS", "localhost:7233"),
		namespace:       service.Env("TEMPORAL_NAMESPACE", "default"),
		queues: [3]string{
			service.Env("TEMPORAL_WORKFLOW_EXECUTION_RUNNER_TASK_QUEUE", "workflow_execution_runner"),
			service.Env("TEMPORAL_ZIGFLOW_EXECUTION_TASK_QUEUE", "zigflow_execution"),
			service.Env("TEMPORAL_WORKFLOW_VALIDATION_RUNNER_TASK_QUEUE", "workflow_validation_runner"),
		},
		// The Temporal SDK requires at least two for workflow tasks.
		concurrency: max(2, service.EnvInt("TEMPORAL_MAX_CONCURRENCY", 10)),
	}, nil
}
