package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const (
	move    = "or set STIGMER_HOME to a directory on another disk"
	reserve = 1 << 20 // bytes for directories
	mayDo   = 3       // access(2): W_OK and X_OK
)

// prepare has the home's directories, for this user alone, where programs can be written and started.
func prepare(places Places) error {
	for _, directory := range []string{places.home, places.dist, places.run} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return explain(err, directory)
		}
		if err := syscall.Access(directory, mayDo); err != nil {
			return explain(err, directory)
		}
	}
	if forbidsExecution(places.dist) {
		return &Failure{
			places.dist + " is on a file system mounted noexec: programs there cannot be started",
			"mount it without noexec, " + move, 1,
		}
	}
	return nil
}

func requireSpace(directory string, needed int64) error {
	var status syscall.Statfs_t
	if err := syscall.Statfs(directory, &status); err != nil {
		return err
	}
	free := int64(status.Bavail) * int64(status.Bsize)
	if free >= needed+reserve {
		return nil
	}
	return &Failure{
		fmt.Sprintf("%s has %d MB free, and Stigmer needs %d MB", directory, free>>20, (needed+reserve)>>20+1),
		"free some space there, " + move, 1,
	}
}

// explain turns a failed system call into what happened, where, and what to do.
func explain(err error, directory string) error {
	var failure *Failure
	if err == nil || errors.As(err, &failure) {
		return err
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Failure{"there is no space left in " + directory, "free some space there, " + move, 1}
	case errors.Is(err, syscall.EROFS):
		return &Failure{directory + " is on a read-only file system", "mount it writable, " + move, 1}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return &Failure{"you may not write in " + directory, "give it to yourself (`sudo chown -R $(id -un) …`), " + move, 1}
	case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTDIR):
		return &Failure{directory + " is in the way: it is not a directory", "move it away, " + move, 1}
	}
	return &Failure{fmt.Sprintf("cannot work in %s: %v", directory, err), "check that directory, " + move, 1}
}
