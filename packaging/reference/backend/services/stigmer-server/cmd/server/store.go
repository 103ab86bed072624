package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"stigmer.ai/reference/backend/libs/service"
)

// lockWait is how long we wait for another server to let go of the database, so that a restart may overlap a little.
const lockWait = 3 * time.Second

var (
	bucket          = []byte("executions")
	errNoSuchRecord = errors.New("no such execution")
)

// store keeps executions as JSON under their id. It owns its file: a second server on one database cannot open it.
type store struct{ db *bolt.DB }

func openStore(path string) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the database's directory: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait})
	if err != nil {
		return nil, fmt.Errorf("cannot open the database %s (is another server using it?): %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	return &store{db}, err
}

func (s *store) close() error { return s.db.Close() }

// put returns when the execution is on disk.
func (s *store) put(execution service.Execution) error {
	document, err := json.Marshal(execution)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte(execution.ID), document) })
}

func (s *store) get(id string) (execution service.Execution, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		document := tx.Bucket(bucket).Get([]byte(id))
		if document == nil {
			return errNoSuchRecord
		}
		return json.Unmarshal(document, &execution)
	})
	return execution, err
}
