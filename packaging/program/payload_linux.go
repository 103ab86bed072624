package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ownPayload returns this program's own file, whose end is the payload, and its size.
func ownPayload() (io.ReaderAt, int64, error) {
	file, err := os.Open("/proc/self/exe")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &Failure{"/proc is not mounted in this chroot or container", "run `mount -t proc proc /proc` as root", 1}
	}
	if err != nil {
		return nil, 0, unreadable(err)
	}
	status, err := file.Stat()
	if err != nil {
		return nil, 0, unreadable(err)
	}
	return file, status.Size(), nil
}

func unreadable(err error) error {
	path, _ := os.Executable()
	return &Failure{fmt.Sprintf("cannot read %s: %v", path, reason(err)), "run `chmod +r " + quote(path) + "`", 1}
}
