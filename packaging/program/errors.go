package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
)

const (
	anotherDisk = "or set STIGMER_HOME to a directory on another disk"
	readOnly    = 1 // ST_RDONLY of statfs(2), and MNT_RDONLY of <sys/mount.h>
	interrupted = 130

	accessExecute, accessWrite = 1, 2 // X_OK and W_OK: access(2)
)

// Failure is an error with a remedy and an exit code. Its words are those of the launcher.
type Failure struct {
	message, remedy string
	code            int
}

func (failure *Failure) Error() string { return failure.message }

// fail prints an error with its remedy, and returns the exit code; 0 without an error.
func fail(err error) int {
	if err == nil {
		return 0
	}
	failure, known := err.(*Failure)
	if !known {
		failure = &Failure{err.Error(), "run the command again", 1}
	}
	fmt.Fprintf(os.Stderr, "Error: %s\nHint: %s\n", failure.message, failure.remedy)
	return failure.code
}

// explain turns the error of a system call in the home into a failure with a remedy.
func (home Home) explain(err error) error {
	var failure *Failure
	if err == nil || errors.As(err, &failure) {
		return err
	}
	path := home.path
	var located *fs.PathError
	if errors.As(err, &located) {
		path = located.Path
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Failure{"there is no space left in " + home.path, "free some space there, " + anotherDisk, 1}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return home.unwritable(path, errors.Is(err, syscall.EROFS))
	case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTDIR):
		return &Failure{path + " is in the way: it is not a directory", "move it away, " + anotherDisk, 1}
	}
	return &Failure{fmt.Sprintf("cannot work in %s: %v", home.path, reason(err)), "check that directory, " + anotherDisk, 1}
}

// unwritable returns the failure for a path of the home that cannot be written, with its cause and the command that helps.
func (home Home) unwritable(path string, isReadOnly bool) error {
	path = existing(path)
	var system syscall.Statfs_t
	if isReadOnly || syscall.Statfs(path, &system) == nil && system.Flags&readOnly != 0 {
		return &Failure{home.path + " is on a read-only file system", "mount it writable, " + anotherDisk, 1}
	}
	problem, hasHome := "no permission to write "+path, existing(home.path) == home.path
	status, err := os.Stat(path)
	if err != nil {
		return err
	}
	if owner := status.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		command := `install -d -o "$(id -un)" `
		if hasHome {
			command = `chown -R "$(id -un)" `
		}
		problem = fmt.Sprintf("%s: it belongs to user %s", problem, userName(owner))
		return &Failure{problem, "run `sudo " + command + quote(home.path) + "`, " + anotherDisk, 1}
	}
	command := "chmod u+rwx " + quote(path)
	if hasHome {
		command = "chmod -R u+rwX " + quote(home.path)
	}
	return &Failure{problem, "run `" + command + "`, " + anotherDisk, 1}
}

// reason returns an error without the system call and the path that Go puts before it.
func reason(err error) error {
	var located *fs.PathError
	if errors.As(err, &located) {
		return located.Err
	}
	return err
}

var unquoted = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote quotes a word for the shell, if it needs that.
func quote(word string) string {
	if unquoted.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'"
}
