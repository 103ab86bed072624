package main

import (
	"io"
	"os"
)

// ownPayload gives this program's own file: the payload is its end.
func ownPayload() (io.ReaderAt, int64, error) {
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, 0, err
	}
	status, err := own.Stat()
	if err != nil {
		return nil, 0, err
	}
	return own, status.Size(), nil
}
