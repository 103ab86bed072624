// Command worker is the reference workflow-runner: a Temporal worker on three task queues. It takes no arguments;
// its environment is described in ../../../../../README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"stigmer.ai/reference/backend/libs/service"
)

const dialTimeout = 5 * time.Second

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

// run works until the context ends, or until a worker cannot go on, which is an error.
func run(ctx context.Context, config config, logger zerolog.Logger) error {
	temporal, err := connect(ctx, config, logger)
	if err != nil {
		return fmt.Errorf("cannot connect to Temporal at %s: %w", config.temporalAddress, err)
	}
	defer temporal.Close()
	logger.Info().Str("temporal", config.temporalAddress).Str("backend", config.backendEndpoint).
		Bool("tls", config.backendTLS).Msg("Temporal worker configured and ready")
	failed := make(chan error, len(config.queues))
	workers, err := startWorkers(temporal, config, failed)
	if err != nil {
		return err
	}
	logger.Info().Strs("queues", config.queues[:]).Msg("All three workers started successfully")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		stopWorkers(workers)
		return nil
	}
}

// connect dials at once: without Temporal this service has nothing to do, and whoever started it should know.
func connect(ctx context.Context, config config, logger zerolog.Logger) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return client.DialContext(ctx, client.Options{
		HostPort: config.temporalAddress, Namespace: config.namespace, Logger: service.TemporalLogger(logger),
	})
}

func startWorkers(temporal client.Client, config config, failed chan<- error) ([]worker.Worker, error) {
	var workers []worker.Worker
	for _, queue := range config.queues {
		started := worker.New(temporal, queue, worker.Options{
			MaxConcurrentWorkflowTaskExecutionSize: config.concurrency,
			OnFatalError:                           func(err error) { failed <- fmt.Errorf("worker on %s: %w", queue, err) },
		})
		started.RegisterWorkflowWithOptions(runExecution, workflow.RegisterOptions{Name: service.ExecutionWorkflow})
		if err := started.Start(); err != nil {
			return nil, fmt.Errorf("cannot start the worker on %s: %w", queue, err)
		}
		workers = append(workers, started)
	}
	return workers, nil
}

// stopWorkers stops all at the same time, so that the whole takes as long as the slowest.
func stopWorkers(workers []worker.Worker) {
	var stopping sync.WaitGroup
	for _, started := range workers {
		stopping.Go(started.Stop)
	}
	stopping.Wait()
}
