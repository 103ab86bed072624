package main

import (
	"strings"
	"testing"
)

func TestEveryRequiredVariableIsNamedWhenItIsMissing(t *testing.T) {
	required := map[string]string{
		"EXECUTION_MODE": "temporal", "STIGMER_BACKEND_ENDPOINT": "localhost:7234", "STIGMER_API_KEY": "dummy-local-key",
	}
	for name := range required {
		for other, value := range required {
			t.Setenv(other, value)
		}
		t.Setenv(name, "")
		if _, err := loadConfig(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestTLSIsOnUnlessExactlyFalse(t *testing.T) {
	t.Setenv("EXECUTION_MODE", "temporal")
	t.Setenv("STIGMER_BACKEND_ENDPOINT", "localhost:7234")
	t.Setenv("STIGMER_API_KEY", "dummy-local-key")
	for value, want := range map[string]bool{"": true, "false": false, "False": true, "0": true} {
		t.Setenv("STIGMER_SERVICE_USE_TLS", value)
		if got, err := loadConfig(); err != nil || got.backendTLS != want {
			t.Errorf("STIGMER_SERVICE_USE_TLS=%q: %v, %v", value, got.backendTLS, err)
		}
	}
}
