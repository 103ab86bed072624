// Command worker is the reference workflow-runner: a Temporal worker on three task queues. It takes no arguments;
// its environment is described in ../../../../../README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"stigmer.ai/reference/backend/libs/service"
)

func main() {
	logger := service.NewLogger()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := loadConfig()
	if err == nil {
		err = run(ctx, config, logger)
	}
	if err != nil {
		logger.Fatal().Err(err).Msg("Workflow runner failed")
	}
	logger.Info().Msg("Workflow runner stopped")
}

// run works until the context is done, or returns the error of a failed worker.
func run(ctx context.Context, config config, logger zerolog.Logger) error {
	temporal, err := service.DialTemporal(ctx, config.temporalAddress, config.namespace, logger)
	if err != nil {
		return fmt.Errorf("cannot connect to Temporal at %s: %w", config.temporalAddress, err)
	}
	defer temporal.Close()
	logger.Info().Str("temporal", config.temporalAddress).Str("backend", config.backendEndpoint).
		Bool("tls", config.backendTLS).Msg("Temporal worker configured and ready")
	failed := make(chan error, len(config.queues))
	options := worker.Options{MaxConcurrentWorkflowTaskExecutionSize: config.concurrency}
	workers, err := service.StartWorkers(temporal, config.queues[:], options, register, func(err error) { failed <- err })
	if err != nil {
		return err
	}
	defer workers.Stop()
	logger.Info().Strs("queues", config.queues[:]).Msg("All three workers started successfully")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func register(registry worker.Registry) {
	registry.RegisterWorkflowWithOptions(runExecution, workflow.RegisterOptions{Name: service.ExecutionWorkflow})
}
