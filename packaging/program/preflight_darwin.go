package main

import "syscall"

const mntNoexec = 4 // MNT_NOEXEC of <sys/mount.h>

func forbidsExecution(directory string) bool {
	var status syscall.Statfs_t
	return syscall.Statfs(directory, &status) == nil && status.Flags&mntNoexec != 0
}
