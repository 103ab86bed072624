// Command program is a self-extracting program: it unpacks its payload, a tree of files, into the user's home once, and
// executes the launcher in that tree.
//
// It prints the version, the help and the completions from the payload, without using the home. payload.go describes
// the payload.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns an exit code after an answer or a failure. Otherwise the launcher replaces this process.
func run(arguments []string) int {
	debug.SetGCPercent(400) // the process runs for seconds: memory matters less than time
	payload, err := openPayload()
	if err != nil {
		return fail(err)
	}
	if answer, found, err := payload.answer(arguments); found {
		if err == nil {
			err = printAnswer(answer)
		}
		return fail(err)
	}
	home, err := findHome(payload.index.ID)
	if err != nil {
		return fail(err)
	}
	if err := home.requireTree(payload); err != nil {
		return fail(err)
	}
	return fail(execute(filepath.Join(home.tree, payload.index.Entry), arguments))
}

// execute replaces this process with a program, and returns only when that fails.
func execute(program string, arguments []string) error {
	err := syscall.Exec(program, append([]string{os.Args[0]}, arguments...), os.Environ())
	if _, missing := os.Stat(program); errors.Is(err, fs.ErrNotExist) && missing == nil {
		return &Failure{
			fmt.Sprintf("this system has no loader for %s: it needs glibc, which Alpine and other musl systems lack", program),
			"use a system with glibc, such as Debian, Ubuntu or Fedora", 1,
		}
	}
	return &Failure{fmt.Sprintf("cannot start %s: %v", program, err), "check that directory, " + anotherDisk, 1}
}
