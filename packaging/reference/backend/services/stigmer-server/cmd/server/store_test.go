package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stigmer.ai/reference/backend/libs/service"
)

func open(t *testing.T, path string) *store {
	t.Helper()
	opened, err := openStore(path)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func put(t *testing.T, opened *store, id string) {
	t.Helper()
	if err := opened.put(service.Execution{ID: id, State: service.Completed}); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestACleanCloseLeavesOneSegmentUnderANewName(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "stigmer.db")
	var left [][]string
	for _, id := range []string{"one", "two"} {
		opened := open(t, folder)
		put(t, opened, id)
		if during := names(t, folder); !slices.Contains(during, "LOCK") || !slices.Contains(during, "00001.mem") {
			t.Errorf("while it is open: %v", during)
		}
		if err := opened.close(); err != nil {
			t.Fatal(err)
		}
		left = append(left, names(t, folder))
	}
	if len(left[0]) != 1 || len(left[1]) != 1 || left[0][0] == left[1][0] {
		t.Errorf("after the closes: %v", left)
	}
	opened := open(t, folder)
	defer opened.close()
	for _, id := range []string{"one", "two"} {
		if _, err := opened.get(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := opened.get("three"); err != errNoSuchRecord {
		t.Errorf("an unknown id: %v", err)
	}
}

func TestAKilledServerLosesNothingThatWasPut(t *testing.T) {
	folder := t.TempDir()
	killed := open(t, folder)
	put(t, killed, "kept")
	if _, err := killed.memtable.WriteString(`{"execution": "cut o`); err != nil {
		t.Fatal(err)
	}
	killed.folder.Close()
	opened := open(t, folder)
	put(t, opened, "later")
	for _, id := range []string{"kept", "later"} {
		if _, err := opened.get(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := opened.close(); err != nil {
		t.Fatal(err)
	}
}

func TestOneDatabaseHasOneServer(t *testing.T) {
	folder := t.TempDir()
	first := open(t, folder)
	defer first.close()
	if _, err := openStore(folder); err == nil {
		t.Error("a second store opened")
	}
}
