package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

const (
	installLock  = "install.lock" // the launcher's, which it holds while it prepares the components
	staging      = ".making"
	removed      = ".gone-"
	manifestFile = ".manifest"
)

// treeName matches the names of trees: a version, twelve digits of the launcher's index, and eight of the tree's.
var treeName = regexp.MustCompile(`^[^.].*-[0-9a-f]{12}-[0-9a-f]{8}$`)

// Status is the part of a file's lstat(2) that changes with a write or a chmod, and with any replacement that has
// another size, time or mode.
type Status struct {
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
	Mode     uint32 `json:"mode"`
}

// requireTree unpacks the tree, unless it exists unmodified, and keeps other processes from removing it.
func (home Home) requireTree(payload *Payload) error {
	if home.hold() && payload.index.isUnmodified(home.tree) {
		home.tidy()
		return nil
	}
	if err := home.prepare(); err != nil {
		return err
	}
	lock, err := home.lock(installLock)
	if err != nil {
		return err
	}
	defer lock.release()
	if home.hold() && payload.index.isUnmodified(home.tree) {
		return nil
	}
	return home.explain(home.replaceTree(payload))
}

// replaceTree unpacks the tree into a staging directory, renames that into place, and prunes the other trees.
func (home Home) replaceTree(payload *Payload) error {
	home.removeUnfinished()
	if err := home.requireSpace(payload.index.size()); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	staged := filepath.Join(home.dist, staging)
	progress := newProgress(payload.index)
	err := payload.unpack(ctx, staged, progress.add)
	progress.end(err == nil)
	if err == nil {
		err = home.publish(staged)
	}
	if err != nil {
		_ = os.RemoveAll(staged)
		return err
	}
	home.prune()
	home.hold()
	return nil
}

// publish renames a staged tree into place, after removing the tree that it replaces.
func (home Home) publish(staged string) error {
	if _, err := os.Lstat(home.tree); err == nil {
		if err := home.remove(home.tree); err != nil {
			return err
		}
	}
	return os.Rename(staged, home.tree)
}

// isUnmodified returns whether the tree is as it was unpacked, judging by its manifest. It reads no content.
func (index *Index) isUnmodified(tree string) bool {
	manifest := map[string]Status{}
	text, err := os.ReadFile(filepath.Join(tree, manifestFile))
	if err != nil || json.Unmarshal(text, &manifest) != nil {
		return false
	}
	for _, file := range index.Files {
		if found, err := statusOf(filepath.Join(tree, file.Path)); err != nil || found != manifest[file.Path] {
			return false
		}
	}
	for _, link := range index.Links {
		if target, err := os.Readlink(filepath.Join(tree, link[0])); err != nil || target != link[1] {
			return false
		}
	}
	return true
}

// writeManifest records the status of each file as the file system reports it: some store no permissions or only whole
// seconds.
func (index *Index) writeManifest(tree string) error {
	manifest := map[string]Status{}
	for _, file := range index.Files {
		found, err := statusOf(filepath.Join(tree, file.Path))
		if err != nil {
			return err
		}
		manifest[file.Path] = found
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(tree, manifestFile), text, 0o600)
}

func statusOf(path string) (Status, error) {
	found, err := os.Lstat(path)
	if err != nil {
		return Status{}, err
	}
	return Status{found.Size(), found.ModTime().UnixNano(), uint32(found.Mode())}, nil
}

// hold locks the tree against removal, and returns whether it exists. The launcher inherits the open directory, and
// with it the lock.
func (home Home) hold() bool {
	descriptor, err := syscall.Open(home.tree, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(descriptor), home.tree)
	// Where directories cannot be locked, claim fails too, so no other process removes the tree.
	if syscall.Flock(descriptor, syscall.LOCK_SH|syscall.LOCK_NB) != syscall.EWOULDBLOCK && isAt(home.tree, file) {
		held = append(held, file)
		return true
	}
	_ = file.Close()
	return false
}

var held []*os.File // keeps the files from being closed by the garbage collector

// claim locks a tree against use, in order to remove it; it returns nil if a process uses the tree.
func claim(tree string) *os.File {
	file, err := os.Open(tree)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = file.Close()
		return nil
	}
	return file
}

// tidy removes unused trees and the unfinished work of killed processes, unless another process is installing, which
// does the same.
func (home Home) tidy() {
	if entries, err := os.ReadDir(home.dist); err != nil || len(entries) < 2 {
		return
	}
	if lock, _ := home.tryLock(installLock); lock != nil {
		defer lock.release()
		home.removeUnfinished()
		home.prune()
	}
}

// removeUnfinished removes the unfinished work of killed processes, if possible; the caller holds the install lock.
func (home Home) removeUnfinished() {
	entries, _ := os.ReadDir(home.dist)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), staging) || strings.HasPrefix(entry.Name(), removed) {
			_ = os.RemoveAll(filepath.Join(home.dist, entry.Name()))
		}
	}
}

// prune removes the other trees, except those that a process uses or that a running server was started from.
func (home Home) prune() {
	entries, _ := os.ReadDir(home.dist)
	running := home.runningVersion()
	for _, entry := range entries {
		tree := filepath.Join(home.dist, entry.Name())
		isRunning := running != "" && strings.HasPrefix(entry.Name(), running+"-")
		if tree == home.tree || isRunning || !treeName.MatchString(entry.Name()) {
			continue
		}
		if claimed := claim(tree); claimed != nil {
			_ = home.remove(tree)
			_ = claimed.Close()
		}
	}
}

// remove renames a tree before it removes the files, so that no process finds an incomplete tree.
func (home Home) remove(tree string) error {
	hidden := filepath.Join(home.dist, fmt.Sprintf("%s%d-%s", removed, os.Getpid(), filepath.Base(tree)))
	if err := os.Rename(tree, hidden); err != nil {
		return err
	}
	return os.RemoveAll(hidden)
}

// runningVersion returns the id of the components that a running supervisor uses, as its state file names it.
func (home Home) runningVersion() string {
	if _, isRunning := home.lockHolder("supervisor.lock"); !isRunning {
		return ""
	}
	var state struct {
		Installed string `json:"installed"`
	}
	text, err := os.ReadFile(filepath.Join(home.run, "state.json"))
	if err != nil || json.Unmarshal(text, &state) != nil {
		return ""
	}
	return state.Installed
}
