// Command server is the reference stigmer-server: a gRPC server that stores executions in an embedded database and runs
// each as a Temporal workflow on its own queues, with a child workflow for the workflow-runner. It takes no arguments;
// its environment is described in ../../../../../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"

	"stigmer.ai/reference/backend/libs/service"
)

const drainTimeout = 5 * time.Second // for open calls: half of the stop's grace period

func main() {
	logger := service.NewLogger()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := loadConfig()
	if err == nil {
		err = run(ctx, config, logger)
	}
	if err != nil {
		logger.Fatal().Err(err).Msg("Stigmer Server failed")
	}
	logger.Info().Msg("Stigmer Server stopped")
}

// run serves until the context is done. It returns an error if it cannot serve; a missing Temporal is not an error.
func run(ctx context.Context, config config, logger zerolog.Logger) error {
	if err := os.MkdirAll(filepath.Join(config.storagePath, "skills"), 0o755); err != nil {
		return fmt.Errorf("cannot create the storage directory: %w", err)
	}
	store, err := openStore(config.dbPath)
	if err != nil {
		return err
	}
	defer store.close()
	temporal, err := service.DialTemporal(ctx, config.temporalAddress, config.namespace, logger)
	if err != nil {
		temporal = nil
		logger.Warn().Err(err).Str("address", config.temporalAddress).
			Msg("Temporal is not available: serving, but no workflow is executed until a restart")
	} else {
		defer temporal.Close()
		workers, err := startWorkers(temporal, config, logger)
		if err != nil {
			return err
		}
		defer workers.Stop()
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", config.port))
	if err != nil {
		return err
	}
	logger.Info().Int("port", config.port).Str("database", config.dbPath).Msg("Stigmer Server started successfully")
	return serve(ctx, newServer(&executions{store, temporal, config, logger}, logger), listener)
}

// serve answers calls until the context is done, then gives open calls drainTimeout to finish.
func serve(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(drainTimeout, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	})
	err := server.Serve(listener)
	if errors.Is(err, grpc.ErrServerStopped) { // the signal arrived before Serve was called
		return nil
	}
	return err
}
