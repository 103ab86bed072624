package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A job is one chunk of a file: `at` is its place in the file.
type job struct {
	file  *File
	chunk Chunk
	at    int64
	left  *atomic.Int32
}

// unpack writes the whole tree into `making`, all processors at work; every chunk is checked as it is written, and every
// file is on disk when this returns. `done` hears of the bytes written. The first failure ends it.
func (payload *Payload) unpack(stopped context.Context, making string, done func(int64)) error {
	jobs, err := payload.plan(making)
	if err != nil {
		return err
	}
	working, cancel := context.WithCancelCause(stopped)
	defer cancel(nil)
	todo := make(chan job)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			if err := payload.work(working, making, todo, done); err != nil {
				cancel(err)
			}
		})
	}
feeding:
	for _, each := range jobs {
		select {
		case todo <- each:
		case <-working.Done():
			break feeding
		}
	}
	close(todo)
	workers.Wait()
	if stopped.Err() != nil {
		return &Failure{"unpacking was interrupted", "run the command again", 130}
	}
	if err := context.Cause(working); err != nil {
		return err
	}
	return payload.finish(making)
}

// plan makes the tree's directories and lists what is to be done.
func (payload *Payload) plan(making string) ([]job, error) {
	if err := os.Mkdir(making, 0o755); err != nil {
		return nil, err
	}
	var jobs []job
	for i := range payload.index.Files {
		file := &payload.index.Files[i]
		if err := makeParent(making, file.Path); err != nil {
			return nil, err
		}
		left, at := &atomic.Int32{}, int64(0)
		left.Store(int32(len(file.Chunks)))
		for _, chunk := range file.Chunks {
			jobs = append(jobs, job{file, chunk, at, left})
			at += chunk.Size
		}
	}
	return jobs, nil
}

func makeParent(making, path string) error {
	if !filepath.IsLocal(path) {
		return &Failure{fmt.Sprintf("%s leads out of the tree", path), "download this file again", 1}
	}
	return os.MkdirAll(filepath.Dir(filepath.Join(making, path)), 0o755)
}

func (payload *Payload) work(working context.Context, making string, todo <-chan job, done func(int64)) error {
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	for each := range todo {
		if working.Err() != nil {
			return nil
		}
		content, err := payload.read(unpacker, each.chunk)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(making, each.file.Path), content, each, payload.index.Time); err != nil {
			return err
		}
		done(each.chunk.Size)
	}
	return nil
}

// write puts a chunk into its file; the last one of a file gives it its mode and time, and waits for the disk.
func write(path string, content []byte, each job, mtime int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteAt(content, each.at); err != nil {
		return err
	}
	if each.left.Add(-1) > 0 {
		return nil
	}
	if err := file.Chmod(os.FileMode(each.file.Mode)); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, time.Unix(mtime, 0))
}

func (payload *Payload) finish(making string) error {
	for _, link := range payload.index.Links {
		if err := makeParent(making, link[0]); err != nil {
			return err
		}
		if err := os.Symlink(link[1], filepath.Join(making, link[0])); err != nil {
			return err
		}
	}
	return nil
}
