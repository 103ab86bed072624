// Package service contains the code shared by the Go services: environment variables, logging, Temporal workers, and
// the document that is passed through the whole stack.
package service

import (
	"os"
	"strconv"
)

// Env returns the value of an environment variable, or the fallback if it is unset or empty.
func Env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// EnvInt returns a positive integer from the environment, or the fallback for any other value: by the service contract,
// a mistyped GRPC_PORT must not keep the server from starting.
func EnvInt(name string, fallback int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil && value > 0 {
		return value
	}
	return fallback
}
