package main

import (
	"path/filepath"
	"testing"
)

func TestEveryVariableHasADefault(t *testing.T) {
	for _, name := range []string{"GRPC_PORT", "DB_PATH", "STORAGE_PATH", "TEMPORAL_HOST_PORT", "TEMPORAL_NAMESPACE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", "/home/somebody")
	got, err := loadConfig()
	want := config{
		port:            7234,
		dbPath:          "/home/somebody/.stigmer/stigmer.db",
		storagePath:     "/home/somebody/.stigmer/storage",
		temporalAddress: "localhost:7233",
		namespace:       "default",
		workflowQueue:   "workflow_execution_runner",
		agentQueue:      "agent_execution_runner",
		ownQueues:       [3]string{"workflow_execution_stigmer", "agent_execution_stigmer", "workflow_validation_stigmer"},
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNoHomeIsAnErrorOnlyWhenADefaultIsNeeded(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("DB_PATH", "")
	if _, err := loadConfig(); err == nil {
		t.Error("got a database path without a home directory")
	}
	t.Setenv("DB_PATH", "stigmer.db")
	t.Setenv("STORAGE_PATH", "/data/storage")
	got, err := loadConfig()
	if err != nil || !filepath.IsAbs(got.dbPath) {
		t.Errorf("got %+v, %v", got, err)
	}
}
