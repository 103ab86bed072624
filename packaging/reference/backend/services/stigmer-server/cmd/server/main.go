// Command server is the reference stigmer-server: a gRPC front that keeps executions in an embedded database and
// runs them as Temporal workflows. It takes no arguments; its environment is described in ../../../../../README.md.
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
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"stigmer.ai/reference/backend/libs/service"
)

const (
	drainTimeout  = 5 * time.Second // open calls may finish within half of the grace that a stop gives us
	healthTimeout = 2 * time.Second
	healthPeriod  = 5 * time.Second
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
		logger.Fatal().Err(err).Msg("Stigmer Server failed")
	}
	logger.Info().Msg("Stigmer Server stopped")
}

// run serves until the context ends. Whatever keeps it from serving is an error; Temporal being away is not.
func run(ctx context.Context, config config, logger zerolog.Logger) error {
	if err := os.MkdirAll(filepath.Join(config.storagePath, "skills"), 0o755); err != nil {
		return fmt.Errorf("cannot make the storage directory: %w", err)
	}
	store, err := openStore(config.dbPath)
	if err != nil {
		return err
	}
	defer store.close()
	temporal, err := client.NewLazyClient(client.Options{
		HostPort: config.temporalAddress, Namespace: config.namespace, Logger: service.TemporalLogger(logger),
	})
	if err != nil {
		return fmt.Errorf("cannot use TEMPORAL_HOST_PORT=%s: %w", config.temporalAddress, err)
	}
	defer temporal.Close()
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", config.port))
	if err != nil {
		return err
	}
	go watch(ctx, temporal, logger.With().Str("address", config.temporalAddress).Logger())
	logger.Info().Int("port", config.port).Str("database", config.dbPath).Msg("Stigmer Server started successfully")
	return serve(ctx, newServer(&executions{store, temporal, config, logger}, logger), listener)
}

// serve answers calls until the context ends, then lets the open ones finish for a while.
func serve(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(drainTimeout, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	})
	err := server.Serve(listener)
	if errors.Is(err, grpc.ErrServerStopped) { // the signal was faster than we
		return nil
	}
	return err
}

// watch says when Temporal comes and goes. The client connects again by itself.
func watch(ctx context.Context, temporal client.Client, logger zerolog.Logger) {
	for known, connected := false, false; ctx.Err() == nil; known = true {
		attempt, cancel := context.WithTimeout(ctx, healthTimeout)
		_, err := temporal.CheckHealth(attempt, nil)
		cancel()
		switch {
		case err == nil && !connected:
			logger.Info().Msg("Connected to Temporal")
		case err != nil && (connected || !known):
			logger.Warn().Err(err).Msg("Temporal is away: executions cannot run until it is back")
		}
		connected = err == nil
		select {
		case <-ctx.Done():
		case <-time.After(healthPeriod):
		}
	}
}
