package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// A payload is: zstd frames one after the other, the index as JSON, and a trailer of 64 bytes that ends the file: the
// magic, where the index begins (counted from the first frame) and how long it is, and its sha256. Numbers are
// little-endian, 64 bits wide.
const (
	magic       = "stigmer-program1"
	trailerSize = 64
	format      = 1
)

// Payload is what the file carries: frames at `start` of `source`, and their index.
type Payload struct {
	source io.ReaderAt
	start  int64
	index  Index
}

// Index names the tree: its files with their frames, its links. ID is the directory's name; Time, that of all files;
// Answers, the files that are word for word what the launcher prints when asked so.
type Index struct {
	Format  int         `json:"format"`
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Target  string      `json:"target"`
	ID      string      `json:"id"`
	Entry   string      `json:"entry"`
	Time    int64       `json:"time"`
	Files   []File      `json:"files"`
	Links   [][2]string `json:"links"`
	Answers []Answer    `json:"answers"`
}

// Answer is a command line and the file that answers it.
type Answer struct {
	Words []string `json:"words"`
	Path  string   `json:"path"`
}

// File is one file: its path below the tree, size in bytes and permission bits.
type File struct {
	Path   string  `json:"path"`
	Size   int64   `json:"size"`
	Mode   uint32  `json:"mode"`
	Chunks []Chunk `json:"chunks"`
}

// Chunk is a part of a file in one frame: where the frame is, how long packed and unpacked, and its content's sha256.
type Chunk struct {
	Offset int64  `json:"offset"`
	Packed int64  `json:"packed"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func openPayload() (*Payload, error) {
	source, size, err := ownPayload()
	if err != nil {
		return nil, &Failure{fmt.Sprintf("cannot read this program's own file: %v", err), "make it readable for you", 1}
	}
	trailer := make([]byte, trailerSize)
	if _, err := source.ReadAt(trailer, max(0, size-trailerSize)); err != nil || string(trailer[:16]) != magic {
		return nil, notWhole()
	}
	offset := int64(binary.LittleEndian.Uint64(trailer[16:]))
	length := int64(binary.LittleEndian.Uint64(trailer[24:]))
	start := size - trailerSize - length - offset
	if offset < 0 || length <= 0 || length > size || start < 0 {
		return nil, notWhole()
	}
	text := make([]byte, length)
	if _, err := source.ReadAt(text, start+offset); err != nil || sha256.Sum256(text) != [32]byte(trailer[32:]) {
		return nil, notWhole()
	}
	payload := &Payload{source: source, start: start}
	if err := json.Unmarshal(text, &payload.index); err != nil || payload.index.Format != format {
		return nil, notWhole()
	}
	return payload, nil
}

func notWhole() error {
	return &Failure{"this file is not whole: what it carries cannot be read", "download it again, and compare its sha256", 1}
}

func (index *Index) answer(words []string) *File {
	for _, answer := range index.Answers {
		for i := range index.Files {
			if slices.Equal(answer.Words, words) && index.Files[i].Path == answer.Path {
				return &index.Files[i]
			}
		}
	}
	return nil
}

// print writes a file to standard output.
func (payload *Payload) print(file *File) error {
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer unpacker.Close()
	for _, chunk := range file.Chunks {
		content, err := payload.read(unpacker, chunk)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(content); err != nil {
			return err
		}
	}
	return nil
}

// read gives a chunk's content, which is what was packed.
func (payload *Payload) read(unpacker *zstd.Decoder, chunk Chunk) ([]byte, error) {
	packed := make([]byte, chunk.Packed)
	if _, err := payload.source.ReadAt(packed, payload.start+chunk.Offset); err != nil {
		return nil, notWhole()
	}
	content, err := unpacker.DecodeAll(packed, make([]byte, 0, chunk.Size))
	if err != nil || digest(content) != chunk.SHA256 {
		return nil, notWhole()
	}
	return content, nil
}

func (index *Index) size() (total int64) {
	for _, file := range index.Files {
		total += file.Size
	}
	return total
}

// isUntouched tells whether the tree is as it was unpacked. No content is read: a write changes the time.
func (index *Index) isUntouched(tree string) bool {
	for _, file := range index.Files {
		seen, err := os.Lstat(filepath.Join(tree, file.Path))
		if err != nil || seen.Size() != file.Size || seen.Mode() != os.FileMode(file.Mode) || seen.ModTime().Unix() != index.Time {
			return false
		}
	}
	for _, link := range index.Links {
		if goal, err := os.Readlink(filepath.Join(tree, link[0])); err != nil || goal != link[1] {
			return false
		}
	}
	return true
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
