package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"stigmer.ai/reference/backend/libs/service"
)

const (
	// lockWait is how long we wait for another server to let go of the database, so that a restart may overlap a little.
	lockWait  = 3 * time.Second
	lockPause = 10 * time.Millisecond
)

var errNoSuchRecord = errors.New("no such execution")

// store keeps executions in a folder, in the manner of a log-structured merge tree: what is put is appended to a memtable
// file, and a segment under a new name takes over everything when the store is opened or closed. LOCK and the memtable
// are gone after a clean close. A second server on one database cannot open it.
type store struct {
	folder   *os.File // holds the lock
	memtable *os.File
	mutex    sync.Mutex
	records  map[string]service.Execution
	segments int // the number of the newest one
}

func openStore(path string) (*store, error) {
	folder, err := lockFolder(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the database %s (is another server using it?): %w", path, err)
	}
	s := &store{folder: folder, records: map[string]service.Execution{}}
	if err := errors.Join(s.load(), s.writeSegment()); err != nil {
		return nil, fmt.Errorf("cannot read the database %s: %w", path, err)
	}
	s.memtable, err = os.OpenFile(s.file("00001.mem"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return s, err
}

// close leaves segments alone behind, everything in the newest one.
func (s *store) close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	err := errors.Join(s.writeSegment(), s.memtable.Close())
	if err != nil {
		return err // the memtable stays, and the next start reads it
	}
	return errors.Join(os.Remove(s.file("00001.mem")), os.Remove(s.file("LOCK")), s.folder.Close())
}

// put returns when the execution is on disk.
func (s *store) put(execution service.Execution) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.records[execution.ID] = execution
	return errors.Join(json.NewEncoder(s.memtable).Encode(execution), s.memtable.Sync())
}

func (s *store) get(id string) (service.Execution, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	execution, known := s.records[id]
	if !known {
		return execution, errNoSuchRecord
	}
	return execution, nil
}

func (s *store) file(name string) string { return filepath.Join(s.folder.Name(), name) }

// load reads the segments in their order, then what a server that was killed had in its memtable.
func (s *store) load() error {
	segments, err := filepath.Glob(s.file("*.sst"))
	for _, path := range append(segments, s.file("00001.mem")) {
		err = errors.Join(err, s.read(path))
	}
	if len(segments) > 0 {
		_, scanned := fmt.Sscanf(filepath.Base(segments[len(segments)-1]), "%d.sst", &s.segments)
		err = errors.Join(err, scanned)
	}
	return err
}

// read takes in the executions of one file; a last one that was cut off was never confirmed to anybody.
func (s *store) read(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	for decoder := json.NewDecoder(file); ; {
		var execution service.Execution
		if err := decoder.Decode(&execution); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		s.records[execution.ID] = execution
	}
}

// writeSegment writes every record to a new segment and removes the older ones.
func (s *store) writeSegment() error {
	if len(s.records) == 0 {
		return nil
	}
	older, _ := filepath.Glob(s.file("*.sst"))
	file, err := os.Create(s.file("segment.new"))
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(file)
	for _, execution := range s.records {
		err = errors.Join(err, encoder.Encode(execution))
	}
	s.segments++
	name := s.file(fmt.Sprintf("%06d.sst", s.segments))
	if err := errors.Join(err, file.Sync(), file.Close(), os.Rename(file.Name(), name)); err != nil {
		return err
	}
	for _, path := range older {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// lockFolder makes the folder if there is none, and waits a moment for another server to leave it.
func lockFolder(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(lockWait)
	for err = flock(folder); err != nil && time.Now().Before(deadline); err = flock(folder) {
		time.Sleep(lockPause)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(path, "LOCK"), fmt.Appendln(nil, os.Getpid()), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder, nil
}

func flock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
