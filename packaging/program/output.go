package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

const eraseLine = "\r\033[K" // carriage return, then EL ("erase in line") of ECMA-48

// printAnswer writes to standard output. It is not an error if the reader has closed that.
func printAnswer(answer []byte) error {
	signal.Ignore(syscall.SIGPIPE)
	_, err := os.Stdout.Write(answer)
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	problem := fmt.Sprintf("cannot write to standard output: %v", reason(err))
	return &Failure{problem, "free some space, or write to another file", 1}
}

// Progress shows the progress of unpacking on a terminal. Elsewhere it prints one line at the end.
type Progress struct {
	mutex                sync.Mutex
	title                string
	live                 bool
	total, done, percent int64
}

func newProgress(index Index) *Progress {
	progress := &Progress{title: fmt.Sprintf("Unpacking %s %s...", index.Name, index.Version), total: max(1, index.size())}
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
	if percent := progress.done * 100 / progress.total; percent != progress.percent {
		progress.show(percent)
	}
}

func (progress *Progress) show(percent int64) {
	progress.percent = percent
	if progress.live {
		fmt.Fprintf(os.Stderr, "%s%s %d %%", eraseLine, progress.title, percent)
	}
}

// end erases the line on a terminal, and if unpacking has succeeded, prints the title with a mark.
func (progress *Progress) end(succeeded bool) {
	if progress.live {
		fmt.Fprint(os.Stderr, eraseLine)
	}
	if succeeded {
		fmt.Fprintf(os.Stderr, "%s %s\n", progress.title, mark(progress.live))
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
