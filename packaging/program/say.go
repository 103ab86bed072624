package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// Failure is one the user can act on, in the launcher's words: what happened, what to do, and the exit code.
type Failure struct {
	message, remedy string
	code            int
}

func (failure *Failure) Error() string { return failure.message }

func fail(err error) int {
	failure, known := err.(*Failure)
	if !known {
		failure = &Failure{err.Error(), "download this file again, and compare its sha256", 1}
	}
	fmt.Fprintf(os.Stderr, "Error: %s\nHint: %s\n", failure.message, failure.remedy)
	return failure.code
}

func announce(pid int32) {
	fmt.Fprintf(os.Stderr, "process %d is unpacking Stigmer or preparing its components; waiting for it\n", pid)
}

// Progress shows on a terminal how far unpacking is; elsewhere only that it has been done.
type Progress struct {
	mutex             sync.Mutex
	title             string
	live              bool
	all, done, before int64
}

func newProgress(index Index) *Progress {
	progress := &Progress{title: fmt.Sprintf("Unpacking %s %s...", index.Name, index.Version), all: max(1, index.size())}
	status, err := os.Stderr.Stat()
	term := os.Getenv("TERM")
	progress.live = err == nil && status.Mode()&os.ModeCharDevice != 0 && term != "" && term != "dumb"
	progress.show(0)
	return progress
}

func (progress *Progress) add(bytes int64) {
	progress.mutex.Lock()
	defer progress.mutex.Unlock()
	progress.done += bytes
	if percent := progress.done * 100 / progress.all; percent != progress.before {
		progress.show(percent)
	}
}

func (progress *Progress) show(percent int64) {
	progress.before = percent
	if progress.live {
		fmt.Fprintf(os.Stderr, "\r\033[K%s %d %%", progress.title, percent)
	}
}

func (progress *Progress) end(well bool) {
	begin := ""
	if progress.live {
		begin = "\r\033[K"
	}
	if well {
		fmt.Fprintf(os.Stderr, "%s%s %s\n", begin, progress.title, mark(progress.live))
	} else {
		fmt.Fprint(os.Stderr, begin)
	}
}

func mark(live bool) string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			if live && strings.Contains(strings.ToLower(value), "utf") {
				return "✓"
			}
			break
		}
	}
	return "ok"
}
