package service

import (
	"testing"

	"github.com/rs/zerolog"
)

func TestEmptyVariablesCountAsUnset(t *testing.T) {
	t.Setenv("TEMPORAL_NAMESPACE", "")
	if got := Env("TEMPORAL_NAMESPACE", "default"); got != "default" {
		t.Errorf("got %q", got)
	}
}

func TestInvalidNumbersFallBack(t *testing.T) {
	for value, want := range map[string]int{"8000": 8000, "": 7234, "http": 7234, "-1": 7234, "0": 7234, "7.5": 7234} {
		t.Setenv("GRPC_PORT", value)
		if got := EnvInt("GRPC_PORT", 7234); got != want {
			t.Errorf("GRPC_PORT=%q: got %d, want %d", value, got, want)
		}
	}
}

func TestUnknownLevelsMeanInfo(t *testing.T) {
	levels := map[string]zerolog.Level{
		"": zerolog.InfoLevel, "chatty": zerolog.InfoLevel, "DEBUG": zerolog.DebugLevel, "error": zerolog.ErrorLevel,
	}
	for name, want := range levels {
		if got := logLevel(name); got != want {
			t.Errorf("LOG_LEVEL=%q: got %v, want %v", name, got, want)
		}
	}
}
