// Recompute every page hash of ad-hoc signatures with an implementation that is not ours: go run . FILE...
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/blacktop/go-macho"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		pages, err := check(path)
		if err != nil {
			failed = true
			fmt.Printf("%s: %v\n", path, err)
			continue
		}
		fmt.Printf("%s: %d pages\n", path, pages)
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) (int, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	file, err := macho.NewFile(bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	signature := file.CodeSignature()
	if signature == nil || len(signature.CodeDirectories) != 1 {
		return 0, fmt.Errorf("not signed once")
	}
	directory := signature.CodeDirectories[0]
	size, limit := 1<<directory.Header.PageSize, int(directory.Header.CodeLimit)
	if limit != int(signature.Offset) || len(directory.CodeSlots) != (limit+size-1)/size {
		return 0, fmt.Errorf("%d pages for %d of %d bytes", len(directory.CodeSlots), limit, signature.Offset)
	}
	for index, slot := range directory.CodeSlots {
		found := sha256.Sum256(raw[index*size : min((index+1)*size, limit)])
		if !bytes.Equal(found[:], slot.Hash) {
			return 0, fmt.Errorf("page %d is not what was signed", index)
		}
	}
	return len(directory.CodeSlots), nil
}
