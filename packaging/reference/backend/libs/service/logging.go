package service

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/log"
)

// NewLogger returns a logger that writes to stderr at LOG_LEVEL: coloured lines with ENV=local (the default), otherwise
// JSON with Unix time. As in the product's own services, lines are coloured even if stderr is a file.
func NewLogger() zerolog.Logger {
	zerolog.TimeFieldFormat = zerolog.TimeFormatUnix
	var out io.Writer = os.Stderr
	if Env("ENV", "local") == "local" {
		out = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.Kitchen}
	}
	return zerolog.New(out).Level(logLevel(os.Getenv("LOG_LEVEL"))).With().Timestamp().Logger()
}

// logLevel parses a zerolog level name, ignoring case; anything else means info.
func logLevel(name string) zerolog.Level {
	level, err := zerolog.ParseLevel(name)
	if err != nil || level == zerolog.NoLevel {
		return zerolog.InfoLevel
	}
	return level
}

// temporalLogger adapts our logger to the Temporal SDK, so that a service logs in a single format.
type temporalLogger struct{ logger zerolog.Logger }

// TemporalLogger returns a logger for the Temporal SDK that writes to ours.
func TemporalLogger(logger zerolog.Logger) log.Logger { return temporalLogger{logger} }

func (t temporalLogger) Debug(message string, fields ...any) {
	t.logger.Debug().Fields(fields).Msg(message)
}
func (t temporalLogger) Info(message string, fields ...any) {
	t.logger.Info().Fields(fields).Msg(message)
}
func (t temporalLogger) Warn(message string, fields ...any) {
	t.logger.Warn().Fields(fields).Msg(message)
}
func (t temporalLogger) Error(message string, fields ...any) {
	t.logger.Error().Fields(fields).Msg(message)
}
