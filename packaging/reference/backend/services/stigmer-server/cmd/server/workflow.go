package main

import (
	"github.com/rs/zerolog"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"stigmer.ai/reference/backend/libs/service"
)

// startWorkers starts workers for the server's own queues. A worker's fatal error is logged; the server keeps serving.
func startWorkers(temporal client.Client, config config, logger zerolog.Logger) (service.Workers, error) {
	register := func(registry worker.Registry) { registry.RegisterWorkflow(handOver) }
	failed := func(err error) { logger.Error().Err(err).Msg("Worker failed: no more workflows are executed") }
	return service.StartWorkers(temporal, config.ownQueues[:], worker.Options{}, register, failed)
}

// handOver is the workflow of the server's own queues: it passes the execution on to a workflow-runner.
func handOver(
	ctx workflow.Context, execution service.Execution, workflowQueue, agentQueue string,
) (service.Execution, error) {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{TaskQueue: workflowQueue})
	execution.Path = append(execution.Path, "stigmer-server")
	err := workflow.ExecuteChildWorkflow(ctx, service.ExecutionWorkflow, execution, agentQueue).Get(ctx, &execution)
	return execution, err
}
