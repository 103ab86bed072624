// Check every digest of ad-hoc signatures with an independent implementation: go run . FILE...
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/blacktop/go-macho"
	"github.com/blacktop/go-macho/pkg/codesign/types"
)

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		pages, identifier, err := check(path)
		if err != nil {
			failed = true
			fmt.Printf("%s: %v\n", path, err)
			continue
		}
		fmt.Printf("%s: %d pages as %s\n", path, pages, identifier)
	}
	if failed {
		os.Exit(1)
	}
}

func check(path string) (int, string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	file, err := macho.NewFile(bytes.NewReader(raw))
	if err != nil {
		return 0, "", err
	}
	signature := file.CodeSignature()
	if signature == nil || len(signature.CodeDirectories) != 1 || len(signature.Errors) != 0 {
		return 0, "", fmt.Errorf("not signed once")
	}
	directory := signature.CodeDirectories[0]
	if directory.Header.Flags&types.ADHOC == 0 || len(signature.CMSSignature) != 0 {
		return 0, "", fmt.Errorf("not signed ad hoc")
	}
	if err := checkPages(raw, int(signature.Offset), directory); err != nil {
		return 0, "", err
	}
	if err := checkBlobs(raw[signature.Offset:signature.Offset+signature.Size], directory); err != nil {
		return 0, "", err
	}
	return len(directory.CodeSlots), directory.ID, nil
}

func checkPages(raw []byte, offset int, directory types.CodeDirectory) error {
	size, limit := 1<<directory.Header.PageSize, int(directory.Header.CodeLimit)
	if limit != offset || len(directory.CodeSlots) != (limit+size-1)/size {
		return fmt.Errorf("%d pages for %d of %d bytes", len(directory.CodeSlots), limit, offset)
	}
	for index, slot := range directory.CodeSlots {
		found := sha256.Sum256(raw[index*size : min((index+1)*size, limit)])
		if !bytes.Equal(found[:], slot.Hash) {
			return fmt.Errorf("page %d is not what was signed", index)
		}
	}
	return nil
}

// checkBlobs compares the blobs beside the code directory, such as requirements and entitlements, with their digests in
// it.
func checkBlobs(signature []byte, directory types.CodeDirectory) error {
	reader := bytes.NewReader(signature)
	head := types.SbHeader{}
	if err := binary.Read(reader, binary.BigEndian, &head); err != nil {
		return err
	}
	blobs := make([]types.BlobIndex, head.Count)
	if err := binary.Read(reader, binary.BigEndian, &blobs); err != nil {
		return err
	}
	bound := map[uint32][]byte{}
	for _, slot := range directory.SpecialSlots {
		bound[slot.Index] = slot.Hash
	}
	for _, blob := range blobs {
		if blob.Type == types.CSSLOT_CODEDIRECTORY || blob.Type == types.CSSLOT_CMS_SIGNATURE {
			continue
		}
		end := blob.Offset + binary.BigEndian.Uint32(signature[blob.Offset+4:])
		found := sha256.Sum256(signature[blob.Offset:end])
		if !bytes.Equal(found[:], bound[uint32(blob.Type)]) {
			return fmt.Errorf("blob %d is not what was signed", blob.Type)
		}
		delete(bound, uint32(blob.Type))
	}
	for slot, hash := range bound {
		if !bytes.Equal(hash, make([]byte, len(hash))) {
			return fmt.Errorf("blob %d was signed and is missing", slot)
		}
	}
	return nil
}
