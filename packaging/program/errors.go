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

// Failure is an error with a remedy and an exit code. Its texts are those of the launcher.
type Failure struct {
	message, remedy string
	code            int
}

func (failure *Failure) Error() string { return failure.message }

// fail prints an error with its remedy, and returns the exit code, which is 0 for nil.
func fail(err error) int {
	if err == nil {
		return 0
	}
	var failure *Failure
	if !errors.As(err, &failure) {
		failure = &Failure{err.Error(), "run the command again", 1}
	}
	fmt.Fprintf(os.Stderr, "Error: %s\nHint: %s\n", failure.message, failure.remedy)
	return failure.code
}

// explain turns the error of a system call in the home into a Failure; it returns nil and a Failure unchanged.
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
	case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		kind := "not a directory"
		if status, err := os.Stat(path); err == nil && status.IsDir() {
			kind = "a directory"
		}
		return &Failure{path + " is in the way: it is " + kind, "move it away, " + anotherDisk, 1}
	}
	return &Failure{fmt.Sprintf("cannot work in %s: %v", home.path, reason(err)), "check that directory, " + anotherDisk, 1}
}

// unwritable returns the Failure for a path of the home that cannot be written, with the cause and a command that
// helps.
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

// reason returns the cause of an error, without the operation and the path that Go prepends.
func reason(err error) error {
	var located *fs.PathError
	if errors.As(err, &located) {
		return located.Err
	}
	return err
}

var unquoted = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote quotes a word for the shell if necessary.
func quote(word string) string {
	if unquoted.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'"
}
