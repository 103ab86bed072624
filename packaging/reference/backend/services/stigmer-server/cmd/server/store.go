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
	// lockWait is how long we wait for another server to release the database, so that a restart may overlap briefly.
	lockWait  = 3 * time.Second
	lockPause = 10 * time.Millisecond
)

var errNoSuchRecord = errors.New("no such execution")

// store keeps executions in a directory, similar to a log-structured merge tree: put appends to a memtable file, and
// opening or closing the store writes all records to a new segment. A clean close removes LOCK and the memtable.
// A second server cannot open the same database.
type store struct {
	folder   *os.File // holds the lock
	memtable *os.File
	mutex    sync.Mutex
	records  map[string]service.Execution
	segments int // the number of the newest segment
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

// close writes all records to a new segment, and removes the memtable and LOCK.
func (s *store) close() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	err := errors.Join(s.writeSegment(), s.memtable.Close())
	if err != nil {
		return err // the memtable stays, and the next start reads it
	}
	return errors.Join(os.Remove(s.file("00001.mem")), os.Remove(s.file("LOCK")), s.folder.Close())
}

// put stores an execution; it is on disk when put returns.
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

// load reads the segments in order, then the memtable that a killed server may have left.
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

// read adds the executions of one file; a truncated last one is ignored, as its put never returned.
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

// lockFolder creates the directory if necessary and locks it; it waits up to lockWait for another server to release it.
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
