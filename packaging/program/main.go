// The single file that brings all of Stigmer: it unpacks itself into the user's home once, and hands over.
//
// What it carries is described in payload.go. Version, help and completions are answered from there, without touching
// the home; everything else by the launcher that has been unpacked.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run gives the exit code of a failure; when all is well it never returns, because the launcher has taken over.
func run(arguments []string) int {
	debug.SetGCPercent(400) // a process that lives for seconds
	payload, err := openPayload()
	if err != nil {
		return fail(err)
	}
	if len(arguments) == 1 && (arguments[0] == "--version" || arguments[0] == "-V") {
		fmt.Println(payload.index.Name, payload.index.Version)
		return 0
	}
	if file := payload.index.answer(arguments); file != nil {
		if err := payload.print(file); err != nil {
			return fail(err)
		}
		return 0
	}
	directory, err := unpacked(payload)
	if err != nil {
		return fail(err)
	}
	program := filepath.Join(directory, payload.index.Entry)
	err = syscall.Exec(program, append([]string{os.Args[0]}, arguments...), os.Environ())
	return fail(explain(err, program))
}

// unpacked gives the directory in which the tree is whole, unpacking it when it is not there or was touched. An open
// directory that is locked, and stays so when the launcher takes over, keeps others from removing it.
func unpacked(payload *Payload) (string, error) {
	places, err := findPlaces(payload.index)
	if err != nil {
		return "", err
	}
	if hold(places.tree) && payload.index.isUntouched(places.tree) {
		return places.tree, tidy(places)
	}
	if err := prepare(places); err != nil {
		return "", err
	}
	lock, err := wait(filepath.Join(places.run, "install.lock"), announce)
	if err != nil {
		return "", err
	}
	defer lock.release()
	if hold(places.tree) && payload.index.isUntouched(places.tree) {
		return places.tree, nil
	}
	if err := replace(payload, places); err != nil {
		return "", explain(err, places.dist)
	}
	return places.tree, nil
}

// replace makes the tree aside and publishes it by a rename; what was at its place goes.
func replace(payload *Payload, places Places) error {
	clearLeftovers(places)
	if err := requireSpace(places.dist, payload.index.size()); err != nil {
		return err
	}
	stopped, release := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer release()
	making := filepath.Join(places.dist, ".making")
	progress := newProgress(payload.index)
	err := payload.unpack(stopped, making, progress.add)
	progress.end(err == nil)
	if err == nil {
		err = publish(making, places)
	}
	if err != nil {
		_ = os.RemoveAll(making)
		return err
	}
	prune(places)
	hold(places.tree)
	return nil
}

func publish(making string, places Places) error {
	if _, err := os.Lstat(places.tree); err == nil {
		if err := retire(places, places.tree); err != nil {
			return err
		}
	}
	return os.Rename(making, places.tree)
}
