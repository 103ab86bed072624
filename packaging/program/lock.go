package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	lockTimeout  = 300 * time.Second // enough for another start that writes to a slow disk
	pollInterval = 10 * time.Millisecond
)

// Lock is a POSIX record lock, as the launcher uses them: the kernel releases it when its process ends.
type Lock struct{ file *os.File }

func (lock *Lock) release() { _ = lock.file.Close() }

// tryLock acquires a lock without waiting; it returns nil if another process holds it.
func (home Home) tryLock(name string) (*Lock, error) {
	path := filepath.Join(home.run, name)
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, home.explain(err)
		}
		err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
		if err == nil && isAt(path, file) {
			return &Lock{file}, nil
		}
		_ = file.Close()
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EAGAIN) {
			return nil, nil
		}
		if err != nil {
			problem := fmt.Sprintf("the file system of %s does not support locks: %v", home.run, err)
			return nil, &Failure{problem, "set STIGMER_HOME to a directory on a local disk", 1}
		}
	}
}

// lock waits until it can acquire a lock, up to lockTimeout, and reports each process that holds it meanwhile.
func (home Home) lock(name string) (*Lock, error) {
	reported := int32(0)
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(pollInterval) {
		lock, err := home.tryLock(name)
		if lock != nil || err != nil {
			return lock, err
		}
		pid, held := home.lockHolder(name)
		if held && pid <= 0 {
			remedy := "run the command where Stigmer was started (container or machine), or set another STIGMER_HOME"
			return nil, &Failure{filepath.Join(home.run, name) + " is locked by a process that cannot be seen from here", remedy, 1}
		}
		if held && pid != reported {
			fmt.Fprintf(os.Stderr, "Waiting for process %d, which prepares the components\n", pid)
			reported = pid
		}
		if held && time.Now().After(deadline) {
			problem := fmt.Sprintf("process %d, which prepares the components, has not finished within %.0f s", pid, lockTimeout.Seconds())
			return nil, &Failure{problem, "wait until that process has finished, or end it, and run the command again", 1}
		}
	}
}

// lockHolder returns the pid of the process that holds a lock, and whether there is one. The pid is 0 or -1 for a
// process of another pid namespace or machine. This process must not hold the lock: closing the file would release it.
func (home Home) lockHolder(name string) (int32, bool) {
	file, err := os.Open(filepath.Join(home.run, name))
	if err != nil {
		return 0, false
	}
	defer file.Close()
	query := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart} // conflicts with an exclusive lock
	if syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &query) != nil {
		return 0, false
	}
	return query.Pid, query.Type != syscall.F_UNLCK
}

// isAt returns whether an open file is still the one at the path.
func isAt(path string, file *os.File) bool {
	found, err := os.Stat(path)
	if err != nil {
		return false
	}
	opened, err := file.Stat()
	return err == nil && os.SameFile(found, opened)
}
