package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// ours is how trees are named: version, twelve digits of the launcher's index, eight of ours.
var ours = regexp.MustCompile(`^[^.].*-[0-9a-f]{12}-[0-9a-f]{8}$`)

// tidy removes what is left when a server has ended whose tree had to stay, or a run was killed. Whoever is at work does
// it as well, so nobody waits.
func tidy(places Places) error {
	names, err := os.ReadDir(places.dist)
	if err != nil || len(names) < 2 {
		return nil
	}
	if lock, _ := try(filepath.Join(places.run, "install.lock")); lock != nil {
		defer lock.release()
		clearLeftovers(places)
		prune(places)
	}
	return nil
}

// clearLeftovers removes what killed runs have left: whoever has the lock may.
func clearLeftovers(places Places) {
	names, _ := os.ReadDir(places.dist)
	for _, name := range names {
		if strings.HasPrefix(name.Name(), ".making") || strings.HasPrefix(name.Name(), ".gone-") {
			_ = os.RemoveAll(filepath.Join(places.dist, name.Name()))
		}
	}
}

// prune removes the trees of other programs that nobody uses: no program holds them, and no running server came from them.
func prune(places Places) {
	names, _ := os.ReadDir(places.dist)
	running := runningVersion(places)
	for _, name := range names {
		tree := filepath.Join(places.dist, name.Name())
		used := running != "" && strings.HasPrefix(name.Name(), running+"-")
		if tree == places.tree || used || !ours.MatchString(name.Name()) {
			continue
		}
		if claimed := claim(tree); claimed != nil {
			_ = retire(places, tree)
			claimed.Close()
		}
	}
}

// retire makes a tree disappear by a rename before its files go.
func retire(places Places, tree string) error {
	gone := filepath.Join(places.dist, fmt.Sprintf(".gone-%d-%s", os.Getpid(), filepath.Base(tree)))
	if err := os.Rename(tree, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// claim locks a tree that no program holds, so that none can take hold of it until it is gone; nil when one does.
func claim(tree string) *os.File {
	file, err := os.Open(tree)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		file.Close()
		return nil
	}
	return file
}

// runningVersion names the version a living supervisor uses, as it has written it down itself.
func runningVersion(places Places) string {
	if holder(filepath.Join(places.run, "supervisor.lock")) == 0 {
		return ""
	}
	var state struct {
		Installed string `json:"installed"`
	}
	text, err := os.ReadFile(filepath.Join(places.run, "state.json"))
	if err != nil || json.Unmarshal(text, &state) != nil {
		return ""
	}
	return state.Installed
}
