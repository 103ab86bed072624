package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	patience = 300 * time.Second // one start waits for another that writes to a slow disk
	pause    = 10 * time.Millisecond
)

// Lock is the launcher's kind of lock: a POSIX record lock, which the kernel drops with its process.
type Lock struct{ file *os.File }

func (lock *Lock) release() { lock.file.Close() }

// try takes the lock at once, or gives nil when another process has it.
func try(path string) (*Lock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, explain(err, path)
		}
		err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
		if err == nil && isSame(path, file) {
			return &Lock{file}, nil
		}
		file.Close()
		if err == syscall.EACCES || err == syscall.EAGAIN {
			return nil, nil
		}
		if err != nil {
			return nil, &Failure{
				fmt.Sprintf("the file system of %s does not support locks: %v", path, err),
				"set STIGMER_HOME to a directory on a local disk", 1,
			}
		}
	}
}

// wait takes the lock as soon as it is free; `tell` hears once, and at each change, the process that has it.
func wait(path string, tell func(pid int32)) (*Lock, error) {
	told := int32(0)
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		lock, err := try(path)
		if lock != nil || err != nil {
			return lock, err
		}
		pid := holder(path)
		if pid != 0 && pid != told {
			told = pid
			tell(pid)
		}
		if time.Now().After(deadline) {
			return nil, &Failure{
				fmt.Sprintf("process %d has held %s for %.0f s", pid, path, patience.Seconds()),
				"wait until that process has finished, or end it, and run the command again", 1,
			}
		}
	}
}

// holder gives the process that has a lock, 0 when nobody has. Not for a lock of our own: closing the file drops it.
func holder(path string) int32 {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer file.Close()
	asked := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &asked) != nil || asked.Type == syscall.F_UNLCK {
		return 0
	}
	return asked.Pid
}

// hold opens a directory and keeps it locked for this process and what takes over from it; false when it is not there,
// or somebody is removing it.
func hold(directory string) bool {
	descriptor, err := syscall.Open(directory, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(descriptor), directory)
	if syscall.Flock(descriptor, syscall.LOCK_SH|syscall.LOCK_NB) == nil && isSame(directory, file) {
		held = append(held, file)
		return true
	}
	file.Close()
	return false
}

var held []*os.File // open until the end: what is forgotten would be closed

func isSame(path string, file *os.File) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	opened, err := file.Stat()
	return err == nil && os.SameFile(there, opened)
}
