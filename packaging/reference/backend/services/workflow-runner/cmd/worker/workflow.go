package main

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"stigmer.ai/reference/backend/libs/service"
)

// runExecution passes the execution to the agent-runner that polls the queue.
func runExecution(ctx workflow.Context, execution service.Execution, agentQueue string) (service.Execution, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           agentQueue,
		StartToCloseTimeout: time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	execution.Path = append(execution.Path, "workflow-runner")
	err := workflow.ExecuteActivity(ctx, "ExecuteGraphton", execution).Get(ctx, &execution)
	return execution, err
}
