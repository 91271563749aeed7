package gateway

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write generated documents")

func TestCommandsDocument(t *testing.T) {
	const file = "../docs/commands.md"
	want := CommandsDocument()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run make generate", file)
	}
}
