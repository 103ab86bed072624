package main

import "syscall"

const stNoexec = 8 // ST_NOEXEC of statfs(2)

func forbidsExecution(directory string) bool {
	var status syscall.Statfs_t
	return syscall.Statfs(directory, &status) == nil && status.Flags&stNoexec != 0
}
