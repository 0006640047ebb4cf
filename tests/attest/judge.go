// tests/attest/judge.go - an outside judge of logs and proofs: the tree and the notes are
// those of the Go project's golang.org/x/mod/sumdb, and nothing here is cordon's code.
//
//	judge log DIR VKEY           every tile and entry of the folder, against its checkpoint
//	judge proof FILE VKEY ENTRY  an offline proof of the bytes in the file ENTRY
//
// One line; exit status 0: good, 1: not.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// openCheckpoint gives the tree that the log called like its key has signed.
func openCheckpoint(bytes []byte, vkey string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return tree, err
	}
	n, err := note.Open(bytes, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, errors.New("not a checkpoint of that log")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

// folder reads tiles of height 8. The package has the height in its paths, and a log of
// that one height has not.
type folder string

func (f folder) read(path, from, to string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), strings.Replace(path, from, to, 1)))
}

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		bytes, err := f.read(t.Path(), "tile/8/", "tile/")
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

// judgeBundle compares the entries from `first` on with the hashes that lead to the root.
func judgeBundle(f folder, hashes tlog.HashReader, first, n int64) error {
	tile := tlog.Tile{H: 8, L: -1, N: first / 256, W: int(n)}
	bundle, err := f.read(tile.Path(), "tile/8/data", "tile/entries")
	if err != nil {
		return err
	}
	for i := first; i < first+n; i++ {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return fmt.Errorf("entry %d is cut off", i)
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
		if err != nil {
			return err
		}
		if leaf[0] != tlog.RecordHash(bundle[2:end]) {
			return fmt.Errorf("entry %d was changed", i)
		}
		bundle = bundle[end:]
	}
	if len(bundle) > 0 {
		return fmt.Errorf("bytes are left behind entry %d", first+n-1)
	}
	return nil
}

func judgeLog(dir, vkey string) (string, error) {
	f := folder(dir)
	checkpoint, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint(checkpoint, vkey)
	if err != nil {
		return "", err
	}
	hashes := tlog.TileHashReader(tree, f)
	for i := int64(0); i < tree.N; i += 256 {
		n := tree.N - i
		if n > 256 {
			n = 256
		}
		if err := judgeBundle(f, hashes, i, n); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("good: %d entries", tree.N), nil
}

func judgeProof(file, vkey, entry string) (string, error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	record, err := os.ReadFile(entry)
	if err != nil {
		return "", err
	}
	parts := strings.SplitN(string(bytes), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return "", errors.New("not a proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return "", err
	}
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return "", errors.New("not a hash")
		}
		var h tlog.Hash
		copy(h[:], raw)
		proof = append(proof, h)
	}
	tree, err := openCheckpoint([]byte(parts[1]), vkey)
	if err != nil {
		return "", err
	}
	err = tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(record))
	return fmt.Sprintf("good: entry %d of %d", index, tree.N), err
}

func main() {
	said, err := "", errors.New("usage: judge log DIR VKEY | judge proof FILE VKEY ENTRY")
	switch {
	case len(os.Args) == 4 && os.Args[1] == "log":
		said, err = judgeLog(os.Args[2], os.Args[3])
	case len(os.Args) == 5 && os.Args[1] == "proof":
		said, err = judgeProof(os.Args[2], os.Args[3], os.Args[4])
	}
	if err != nil {
		fmt.Println("not good:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}
