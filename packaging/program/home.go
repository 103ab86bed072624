package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"
)

const reserve = 1 << 20 // bytes for directories and the manifest

// Home is the launcher's home: the absolute paths of the home, of the directories of trees and locks, and of this tree.
type Home struct {
	path, dist, run, tree string
}

// findHome finds the home as the launcher does: STIGMER_HOME, else `.stigmer` in HOME, else in the home directory of
// the password database.
func findHome(id string) (Home, error) {
	path := os.Getenv("STIGMER_HOME")
	if path == "" || path == "~" || strings.HasPrefix(path, "~/") {
		directory, err := userDirectory()
		if err != nil {
			return Home{}, err
		}
		if path == "" {
			path = "~/.stigmer"
		}
		path = directory + path[1:]
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return Home{}, &Failure{fmt.Sprintf("there is no current directory: %v", err), "set STIGMER_HOME to an absolute directory", 1}
	}
	if !utf8.ValidString(path) {
		remedy := "set STIGMER_HOME to another directory: `export STIGMER_HOME=/path/to/directory`"
		return Home{}, &Failure{fmt.Sprintf("the path of the home is not UTF-8 text: %q", path), remedy, 1}
	}
	dist := filepath.Join(path, "dist")
	return Home{path, dist, filepath.Join(path, "run"), filepath.Join(dist, id)}, nil
}

func userDirectory() (string, error) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return home, nil
	}
	known, err := user.LookupId(fmt.Sprint(os.Getuid()))
	if err != nil {
		problem := fmt.Sprintf("there is no HOME, and user %d is not in the password database", os.Getuid())
		return "", &Failure{problem, "set STIGMER_HOME to an absolute directory", 1}
	}
	return known.HomeDir, nil
}

// prepare creates the home's directories, private to this user, and checks that programs can be written and executed
// there.
func (home Home) prepare() error {
	if err := home.requireOwner(); err != nil {
		return err
	}
	for _, directory := range []string{home.path, home.dist, home.run} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return home.explain(err)
		}
		if err := syscall.Access(directory, accessWrite|accessExecute); err != nil {
			return home.unwritable(directory, errors.Is(err, syscall.EROFS))
		}
	}
	if forbidsExecution(home.dist) {
		return &Failure{
			home.dist + " is on a file system mounted noexec: programs there cannot be started",
			"mount it without noexec, " + anotherDisk, 1,
		}
	}
	return nil
}

// requireOwner returns a Failure if root uses the home of another user, who could not write root's files.
func (home Home) requireOwner() error {
	status, err := os.Stat(existing(home.path))
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	owner := status.Sys().(*syscall.Stat_t).Uid
	if owner == 0 {
		return nil
	}
	name := userName(owner)
	return &Failure{
		fmt.Sprintf("%s belongs to user %s, and this is root", home.path, name),
		fmt.Sprintf("run the command as %s, without sudo, or set STIGMER_HOME to a directory of root", name), 1,
	}
}

// requireSpace returns a Failure if fewer bytes are free for this user than are needed.
func (home Home) requireSpace(needed int64) error {
	var status syscall.Statfs_t
	if err := syscall.Statfs(home.dist, &status); err != nil {
		return err
	}
	needed += reserve
	free := int64(status.Bavail) * blockSize(&status)
	if free >= needed {
		return nil
	}
	const megabyte = 1 << 20
	problem := fmt.Sprintf("%s has %d MB free, and Stigmer needs %d MB", home.dist, free/megabyte, (needed+megabyte-1)/megabyte)
	return &Failure{problem, "free some space there, " + anotherDisk, 1}
}

// existing returns the path if it exists, otherwise its nearest parent that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

func userName(uid uint32) string {
	id := fmt.Sprint(uid)
	if known, err := user.LookupId(id); err == nil {
		return known.Username
	}
	return id
}
