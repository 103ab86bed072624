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

// DialTemporal connects now, so that the caller learns at once when there is no Temporal.
func DialTemporal(ctx context.Context, address, namespace string, logger zerolog.Logger) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return client.DialContext(ctx, client.Options{
		HostPort: address, Namespace: namespace, Logger: TemporalLogger(logger),
	})
}

// Workers poll one task queue each; they start and stop together.
type Workers []worker.Worker

// StartWorkers polls every queue with what `register` gives to each worker; `failed` hears of a worker that cannot go on.
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

// Stop stops all workers at the same time, so that the whole takes as long as the slowest.
func (w Workers) Stop() {
	var stopping sync.WaitGroup
	for _, started := range w {
		stopping.Go(started.Stop)
	}
	stopping.Wait()
}
