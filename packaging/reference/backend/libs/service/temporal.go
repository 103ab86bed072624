package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

const dialTimeout = 5 * time.Second

// DialTemporal connects eagerly, so that it returns an error if Temporal is not available within dialTimeout.
func DialTemporal(ctx context.Context, address, namespace string, logger zerolog.Logger) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return client.DialContext(ctx, client.Options{
		HostPort: address, Namespace: namespace, Logger: TemporalLogger(logger),
	})
}

// Workers each poll one task queue; they start and stop together.
type Workers []worker.Worker

// StartWorkers starts a worker for each queue, set up by `register`; `failed` is called with a worker's fatal error.
func StartWorkers(
	temporal client.Client, queues []string, options worker.Options, register func(worker.Registry), failed func(error),
) (Workers, error) {
	var workers Workers
	for _, queue := range queues {
		options.OnFatalError = func(err error) { failed(fmt.Errorf("worker on %s: %w", queue, err)) }
		started := worker.New(temporal, queue, options)
		register(started)
		if err := started.Start(); err != nil {
			workers.Stop()
			return nil, fmt.Errorf("cannot start the worker on %s: %w", queue, err)
		}
		workers = append(workers, started)
	}
	return workers, nil
}

// Stop stops all workers concurrently, so that it takes only as long as the slowest.
func (w Workers) Stop() {
	var stopping sync.WaitGroup
	for _, started := range w {
		stopping.Go(started.Stop)
	}
	stopping.Wait()
}
