// Package service holds what the Go services have in common: how they read their environment, how they log,
// and the one document that travels through the whole stack.
package service

import (
	"os"
	"strconv"
)

// Env gives the value of an environment variable, or the fallback when it is unset or empty.
func Env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// EnvInt gives a positive number from the environment. Anything else is ignored in favour of the fallback,
// as the service contract asks: a mistyped GRPC_PORT must not keep the server from starting.
func EnvInt(name string, fallback int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil && value > 0 {
		return value
	}
	return fallback
}
