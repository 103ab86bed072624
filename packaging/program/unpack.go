package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const maxWorkers = 8 // each needs memory for a chunk and its frame

// job is one chunk of a file: its offset in the file, and the number of the file's chunks that are not yet written.
type job struct {
	file   *File
	chunk  Chunk
	offset int64
	left   *atomic.Int32
}

// unpack writes the tree into a new directory, on all processors. Every chunk is verified, and every file is on disk
// when it returns. `report` is called with the size of each chunk written, in several goroutines. The first error ends
// it, and so does `ctx`, with a Failure.
func (payload *Payload) unpack(ctx context.Context, tree string, report func(int64)) error {
	jobs, err := payload.plan(tree)
	if err != nil {
		return err
	}
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan job, len(jobs))
	for _, each := range jobs {
		queue <- each
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxWorkers) {
		workers.Go(func() {
			if err := payload.writeChunks(working, tree, queue, report); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	if ctx.Err() != nil {
		return &Failure{"unpacking was interrupted", "run the command again", interrupted}
	}
	if err := context.Cause(working); err != nil {
		return err
	}
	if err := payload.index.makeLinks(tree); err != nil {
		return err
	}
	return payload.index.writeManifest(tree)
}

// plan creates the directories of the tree's files, and returns the jobs.
func (payload *Payload) plan(tree string) ([]job, error) {
	if err := os.Mkdir(tree, 0o755); err != nil {
		return nil, err
	}
	var jobs []job
	for i := range payload.index.Files {
		file := &payload.index.Files[i]
		if err := makeParent(tree, file.Path); err != nil {
			return nil, err
		}
		left, offset := &atomic.Int32{}, int64(0)
		left.Store(int32(len(file.Chunks)))
		for _, chunk := range file.Chunks {
			jobs = append(jobs, job{file, chunk, offset, left})
			offset += chunk.Size
		}
	}
	return jobs, nil
}

func makeParent(tree, path string) error {
	if !filepath.IsLocal(path) {
		return &Failure{fmt.Sprintf("this file is damaged: %s is outside of its tree", path), "download it again", 1}
	}
	return os.MkdirAll(filepath.Dir(filepath.Join(tree, path)), 0o755)
}

// writeChunks takes jobs from the queue until it is empty, or `ctx` is done by an interrupt or another worker's error.
func (payload *Payload) writeChunks(ctx context.Context, tree string, queue <-chan job, report func(int64)) error {
	decoder, err := newDecoder()
	if err != nil {
		return err
	}
	defer decoder.Close()
	for each := range queue {
		if ctx.Err() != nil {
			return nil
		}
		content, err := payload.readChunk(decoder, each.chunk)
		if err != nil {
			return err
		}
		if err := each.write(filepath.Join(tree, each.file.Path), content, payload.index.Time); err != nil {
			return err
		}
		report(each.chunk.Size)
	}
	return nil
}

// write writes a chunk to its file. The last chunk of a file also sets its mode and time, and flushes it to disk.
func (each job) write(path string, content []byte, modified int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteAt(content, each.offset); err != nil {
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
	return os.Chtimes(path, time.Time{}, time.Unix(modified, 0))
}

func (index *Index) makeLinks(tree string) error {
	for _, link := range index.Links {
		if err := makeParent(tree, link[0]); err != nil {
			return err
		}
		err := os.Symlink(link[1], filepath.Join(tree, link[0]))
		if errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
			remedy := "set STIGMER_HOME to a directory on another file system, such as ext4 or APFS"
			return &Failure{filepath.Dir(tree) + " is on a file system without symbolic links", remedy, 1}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
