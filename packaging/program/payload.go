package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// The payload consists of zstd frames, an index in JSON, and a trailer of 64 bytes: the magic, the offset of the index
// from the first frame, its length, and its sha256. Numbers are little-endian and have 64 bits.
const (
	magic       = "stigmer-program1"
	trailerSize = 64
	format      = 1
)

// Payload is a readable payload: `start` is the offset of its first frame in `source`.
type Payload struct {
	source io.ReaderAt
	start  int64
	index  Index
}

// Index describes the tree in the payload.
type Index struct {
	Format  int         `json:"format"`
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Target  string      `json:"target"`
	ID      string      `json:"id"`    // the name of the tree's directory
	Entry   string      `json:"entry"` // the path of the launcher
	Time    int64       `json:"time"`  // the modification time of all files, in seconds since 1970
	Files   []File      `json:"files"`
	Links   [][2]string `json:"links"` // pairs of a path and its target
	Answers []Answer    `json:"answers"`
}

// Answer maps arguments to the file that contains the launcher's output for them.
type Answer struct {
	Words []string `json:"words"`
	Path  string   `json:"path"`
}

// File is one file of the tree: its path, its size in bytes and its permission bits.
type File struct {
	Path   string  `json:"path"`
	Size   int64   `json:"size"`
	Mode   uint32  `json:"mode"`
	Chunks []Chunk `json:"chunks"`
}

// Chunk is a part of a file: offset and compressed length of its frame, its own size, and the sha256 of its content.
type Chunk struct {
	Offset int64  `json:"offset"`
	Packed int64  `json:"packed"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// openPayload opens the payload of this program, and reads its index.
func openPayload() (*Payload, error) {
	source, size, err := ownPayload()
	if err != nil {
		return nil, err
	}
	trailer := make([]byte, trailerSize)
	if _, err := source.ReadAt(trailer, max(0, size-trailerSize)); err != nil || string(trailer[:16]) != magic {
		return nil, incomplete()
	}
	offset := int64(binary.LittleEndian.Uint64(trailer[16:]))
	length := int64(binary.LittleEndian.Uint64(trailer[24:]))
	start := size - trailerSize - length - offset
	if offset < 0 || length <= 0 || length > size || start < 0 {
		return nil, incomplete()
	}
	text := make([]byte, length)
	if _, err := source.ReadAt(text, start+offset); err != nil || sha256.Sum256(text) != [32]byte(trailer[32:]) {
		return nil, incomplete()
	}
	payload := &Payload{source: source, start: start}
	if err := json.Unmarshal(text, &payload.index); err != nil || payload.index.Format != format {
		return nil, incomplete()
	}
	return payload, nil
}

func incomplete() error {
	return &Failure{"this file is incomplete or damaged", "download it again, and compare its sha256", 1}
}

// answer returns the launcher's output for the arguments, and whether the payload contains it.
func (payload *Payload) answer(arguments []string) ([]byte, bool, error) {
	index := &payload.index
	if len(arguments) == 1 && (arguments[0] == "--version" || arguments[0] == "-V") {
		return fmt.Appendln(nil, index.Name, index.Version), true, nil
	}
	for _, answer := range index.Answers {
		if slices.Equal(answer.Words, arguments) {
			content, err := payload.readFile(answer.Path)
			return content, true, err
		}
	}
	return nil, false, nil
}

func (payload *Payload) readFile(path string) ([]byte, error) {
	files := payload.index.Files
	found := slices.IndexFunc(files, func(file File) bool { return file.Path == path })
	if found < 0 {
		return nil, incomplete()
	}
	decoder, err := newDecoder()
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	var joined []byte
	for _, chunk := range files[found].Chunks {
		content, err := payload.readChunk(decoder, chunk)
		if err != nil {
			return nil, err
		}
		joined = append(joined, content...)
	}
	return joined, nil
}

// readChunk returns the content of a chunk after checking its sha256.
func (payload *Payload) readChunk(decoder *zstd.Decoder, chunk Chunk) ([]byte, error) {
	packed := make([]byte, chunk.Packed)
	if _, err := payload.source.ReadAt(packed, payload.start+chunk.Offset); err != nil {
		return nil, incomplete()
	}
	content, err := decoder.DecodeAll(packed, make([]byte, 0, chunk.Size))
	sum := sha256.Sum256(content)
	if err != nil || hex.EncodeToString(sum[:]) != chunk.SHA256 {
		return nil, incomplete()
	}
	return content, nil
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
}

func (index *Index) size() (total int64) {
	for _, file := range index.Files {
		total += file.Size
	}
	return total
}
