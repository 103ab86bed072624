package main

import "syscall"

const noexec = 8 // ST_NOEXEC: statfs(2)

func forbidsExecution(directory string) bool {
	var status syscall.Statfs_t
	return syscall.Statfs(directory, &status) == nil && status.Flags&noexec != 0
}

// blockSize returns the unit of the free blocks, in bytes.
func blockSize(status *syscall.Statfs_t) int64 {
	return int64(status.Frsize)
}
