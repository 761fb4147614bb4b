// SPDX-License-Identifier: Apache-2.0

// A reader of busbar's log that shares no code with it: golang.org/x/mod's sumdb/note and sumdb/tlog, as Debian has them.
//
//	log_peer DIR VKEY [RECEIPT]
//	log_peer DIR VKEY -witness VKEY     the checkpoint's cosignature alone (C2SP tlog-cosignature/v1)
//
// It opens the checkpoint's signature, builds the tree from the entries alone, compares its root and every hash of every tile,
// and checks the receipt's proofs. It prints one line, and exits with 1 where something does not hold.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, h[i])
	}
	return out, nil
}

func fail(words ...any) {
	fmt.Println(append([]any{"FAIL"}, words...)...)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail(err)
	}
}

func readTile(dir string, t tlog.Tile) []byte {
	path := strings.Replace(t.Path(), "tile/8/", "tile/", 1)
	path = strings.Replace(path, "tile/data/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(dir, path))
	must(err)
	return data
}

// open gives the tree that a checkpoint is signed for.
func open(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must(err)
	n, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(n.Text, "\n")
	var tree tlog.Tree
	if _, err := fmt.Sscanf(lines[1], "%d", &tree.N); err != nil || lines[0] != verifier.Name() {
		fail("the checkpoint's text")
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	must(err)
	return tree
}

func build(dir string, size int64) hashes {
	var all hashes
	for n := int64(0); n < size; n += 256 {
		width := size - n
		if width > 256 {
			width = 256
		}
		data := readTile(dir, tlog.Tile{H: 8, L: -1, N: n / 256, W: int(width)})
		for i := int64(0); i < width; i++ {
			length := int(binary.BigEndian.Uint16(data))
			more, err := tlog.StoredHashes(n+i, data[2:2+length], all)
			must(err)
			all = append(all, more...)
			data = data[2+length:]
		}
		if len(data) != 0 {
			fail("a bundle is longer than its entries")
		}
	}
	return all
}

func checkTiles(dir string, size int64, all hashes) int {
	tiles := 0
	for level := 0; size>>(8*level) > 0; level++ {
		count := size >> (8 * level)
		for n := int64(0); n*256 < count; n++ {
			width := count - n*256
			if width > 256 {
				width = 256
			}
			tile := tlog.Tile{H: 8, L: level, N: n, W: int(width)}
			want, err := tlog.ReadTileData(tile, all)
			must(err)
			if string(want) != string(readTile(dir, tile)) {
				fail("tile", tile.Path())
			}
			tiles++
		}
	}
	return tiles
}

type receipt struct {
	Checkpoint string
	Records    []struct {
		Index int64
		Leaf  string
		Proof []string
	}
}

func checkReceipt(path, vkey string) int {
	var r receipt
	data, err := os.ReadFile(path)
	must(err)
	must(json.Unmarshal(data, &r))
	tree := open([]byte(r.Checkpoint), vkey)
	for _, record := range r.Records {
		var proof tlog.RecordProof
		for _, text := range record.Proof {
			hash, err := base64.StdEncoding.DecodeString(text)
			must(err)
			proof = append(proof, tlog.Hash(*(*[32]byte)(hash)))
		}
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, record.Index, tlog.RecordHash([]byte(record.Leaf))))
	}
	return len(r.Records)
}

// checkCosignature has its own reading of the note: x/mod knows no cosignatures.
func checkCosignature(text, vkey string) {
	parts := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	must(err)
	if len(key) != 33 || key[0] != 4 {
		fail("not the key of a witness")
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	body := text[:strings.Index(text, "\n\n")+1]
	for _, line := range strings.Split(text[len(body)+1:], "\n") {
		words := strings.Split(line, " ")
		if len(words) != 3 || words[1] != parts[0] {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(words[2])
		must(err)
		if len(sig) != 76 || string(sig[:4]) != string(id[:4]) {
			continue
		}
		seconds := binary.BigEndian.Uint64(sig[4:12])
		if !ed25519.Verify(key[1:], []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", seconds, body)), sig[12:]) {
			fail("the cosignature")
		}
		fmt.Printf("OK cosigned at %d\n", seconds)
		return
	}
	fail("no cosignature by", parts[0])
}

func main() {
	dir := os.Args[1]
	vkey := os.Args[2]
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	must(err)
	tree := open(text, vkey)
	if len(os.Args) > 4 && os.Args[3] == "-witness" {
		checkCosignature(string(text), os.Args[4])
		return
	}
	all := build(dir, tree.N)
	root, err := tlog.TreeHash(tree.N, all)
	must(err)
	if root != tree.Hash {
		fail("the root")
	}
	tiles := checkTiles(dir, tree.N, all)
	proofs := 0
	if len(os.Args) > 3 {
		proofs = checkReceipt(os.Args[3], vkey)
	}
	fmt.Printf("OK %d leaves, %d tiles, %d proofs of a receipt\n", tree.N, tiles, proofs)
}
