package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"stigmer.ai/reference/backend/libs/service"
)

const (
	startTimeout    = 3 * time.Second // an unavailable Temporal is reported, not waited for
	settleTimeout   = time.Second     // how long Get may wait for the end of a running execution
	executionExpiry = 10 * time.Minute
)

// executions runs executions as Temporal workflows and stores their results. Without Temporal, only stored ones are
// available.
type executions struct {
	store    *store
	temporal client.Client
	config   config
	logger   zerolog.Logger
}

// Run starts an execution, waits for its end as long as the caller does, and returns the finished document.
func (e *executions) Run(ctx context.Context, request string) (string, error) {
	execution := service.Execution{ID: "exec-" + strings.ToLower(rand.Text()), State: service.Running}
	var input struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(request), &input); err != nil || input.Message == "" {
		return "", status.Error(codes.InvalidArgument, `the request is not JSON like {"message": "..."}`)
	}
	execution.Message, execution.Path = input.Message, []string{}
	if err := e.start(ctx, execution); err != nil {
		return "", err
	}
	finished, err := e.settle(ctx, execution)
	if err != nil {
		return "", status.Errorf(waitingCode(ctx, err), "the outcome of execution %s is not known yet: %v", execution.ID, err)
	}
	if finished.State == service.Failed {
		return "", status.Errorf(codes.Internal, "execution %s failed: %s", finished.ID, finished.Error)
	}
	return asText(finished)
}

// Get returns a stored document by its id, updated first if the execution is stored as running.
func (e *executions) Get(ctx context.Context, id string) (string, error) {
	execution, err := e.store.get(id)
	if errors.Is(err, errNoSuchRecord) {
		return "", status.Errorf(codes.NotFound, "there is no execution %q", id)
	}
	if err != nil {
		return "", status.Errorf(codes.Internal, "cannot read execution %q: %v", id, err)
	}
	if execution.State == service.Running && e.temporal != nil {
		ctx, cancel := context.WithTimeout(ctx, settleTimeout)
		defer cancel()
		if finished, err := e.settle(ctx, execution); err == nil {
			execution = finished
		}
	}
	return asText(execution)
}

// start starts the workflow, and stores the execution as running once Temporal has accepted it.
func (e *executions) start(ctx context.Context, execution service.Execution) error {
	if e.temporal == nil {
		return status.Errorf(codes.Unavailable,
			"Temporal at %s did not answer when this server started; restart the server to execute workflows",
			e.config.temporalAddress)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	options := client.StartWorkflowOptions{
		ID: execution.ID, TaskQueue: e.config.ownQueues[0], WorkflowExecutionTimeout: executionExpiry,
	}
	_, err := e.temporal.ExecuteWorkflow(ctx, options, handOver, execution, e.config.workflowQueue, e.config.agentQueue)
	if err != nil {
		return status.Errorf(codes.Unavailable, "Temporal at %s cannot run workflows now: %v", e.config.temporalAddress, err)
	}
	if err := e.store.put(execution); err != nil {
		return status.Errorf(codes.Internal, "cannot store execution %s: %v", execution.ID, err)
	}
	e.logger.Info().Str("execution", execution.ID).Msg("Execution started")
	return nil
}

// settle waits for the end of a workflow and stores the outcome; an error means that the outcome is not known yet.
func (e *executions) settle(ctx context.Context, execution service.Execution) (service.Execution, error) {
	finished := execution
	err := e.temporal.GetWorkflow(ctx, execution.ID, "").Get(ctx, &finished)
	finished.State = service.Completed
	if failure := (*temporal.WorkflowExecutionError)(nil); errors.As(err, &failure) {
		finished.State, finished.Error = service.Failed, failure.Unwrap().Error()
	} else if err != nil {
		return execution, err
	}
	return finished, e.store.put(finished)
}

// waitingCode distinguishes between a caller that stopped waiting and a Temporal that became unavailable. Temporal may
// report an exceeded deadline a moment before our own context does.
func waitingCode(ctx context.Context, err error) codes.Code {
	var late *serviceerror.DeadlineExceeded
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Code()
	case errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	default:
		return codes.Unavailable
	}
}

func asText(execution service.Execution) (string, error) {
	document, err := json.Marshal(execution)
	return string(document), err
}
