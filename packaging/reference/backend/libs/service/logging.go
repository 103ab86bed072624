package service

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/log"
)

// NewLogger logs to stderr, at LOG_LEVEL: coloured lines for people with ENV=local (the default), else JSON with unix time.
// The colours are there in a file too, as the product's own services have it.
func NewLogger() zerolog.Logger {
	zerolog.TimeFieldFormat = zerolog.TimeFormatUnix
	var out io.Writer = os.Stderr
	if Env("ENV", "local") == "local" {
		out = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.Kitchen}
	}
	return zerolog.New(out).Level(logLevel(os.Getenv("LOG_LEVEL"))).With().Timestamp().Logger()
}

// logLevel reads zerolog's names of levels in any case; what is not one of them means info.
func logLevel(name string) zerolog.Level {
	level, err := zerolog.ParseLevel(name)
	if err != nil || level == zerolog.NoLevel {
		return zerolog.InfoLevel
	}
	return level
}

// temporalLogger lets the Temporal SDK write into our log, so that a service has one stream in one format.
type temporalLogger struct{ logger zerolog.Logger }

// TemporalLogger gives the Temporal SDK a logger that writes to ours.
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
