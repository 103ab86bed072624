package main

import (
	"fmt"
	"os"
	"path/filepath"

	"stigmer.ai/reference/backend/libs/service"
)

// config is the server's configuration from environment variables, none of which is required.
type config struct {
	port            int
	dbPath          string
	storagePath     string
	temporalAddress string
	namespace       string
	workflowQueue   string    // of the workflow-runner
	agentQueue      string    // of the agent-runner
	ownQueues       [3]string // polled by the server itself: executions of workflows and agents, validation
}

// loadConfig reads the environment. It fails only if a path is unset and there is no home directory for its default.
func loadConfig() (config, error) {
	dbPath, err := pathInHome("DB_PATH", "stigmer.db")
	if err != nil {
		return config{}, err
	}
	storagePath, err := pathInHome("STORAGE_PATH", "storage")
	if err != nil {
		return config{}, err
	}
	return config{
		port:            service.EnvInt("GRPC_PORT", 7234),
		dbPath:          dbPath,
		storagePath:     storagePath,
		temporalAddress: service.Env("TEMPORAL_HOST_PORT", "localhost:7233"),
		namespace:       service.Env("TEMPORAL_NAMESPACE", "default"),
		workflowQueue:   service.Env("TEMPORAL_WORKFLOW_EXECUTION_RUNNER_TASK_QUEUE", "workflow_execution_runner"),
		agentQueue:      service.Env("TEMPORAL_AGENT_EXECUTION_RUNNER_TASK_QUEUE", "agent_execution_runner"),
		ownQueues: [3]string{
			service.Env("TEMPORAL_WORKFLOW_EXECUTION_STIGMER_TASK_QUEUE", "workflow_execution_stigmer"),
			service.Env("TEMPORAL_AGENT_EXECUTION_STIGMER_TASK_QUEUE", "agent_execution_stigmer"),
			service.Env("TEMPORAL_WORKFLOW_VALIDATION_STIGMER_TASK_QUEUE", "workflow_validation_stigmer"),
		},
	}, nil
}

func pathInHome(variable, name string) (string, error) {
	if path := service.Env(variable, ""); path != "" {
		return filepath.Abs(path)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%s is not set, and there is no home directory for its default: %w", variable, err)
	}
	return filepath.Join(home, ".stigmer", name), nil
}
