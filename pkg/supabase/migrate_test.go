package supabase_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMigrationSQL fixes the SQL that operators paste into their database. What it does there was tried on a
// real one; change it only together with such a trial.
func TestMigrationSQL(t *testing.T) {
	got := supabase.MigrationSQL(wantedProvider(), "tiktok.oauth")
	golden := filepath.Join("testdata", "migrate.golden.sql")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
	}
	if strings.Contains(got, "canary") {
		t.Error("the SQL holds the client secret")
	}
}

// TestMigrationSQLQuotes: no value can end its place in the SQL.
func TestMigrationSQLQuotes(t *testing.T) {
	s := wantedProvider()
	s.Identifier, s.Issuer = "custom:x'; drop table users;\n--", `https://a'b\c`
	got := supabase.MigrationSQL(s, "a_b%'")
	for _, want := range []string{
		"'custom:x''; drop table users;\n--'", `E'https://a''b\\c'`, `like E'%@a\\_b\\%'''`,
		"-- provider custom:x'; drop table users; --.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the SQL lacks %s:\n%s", want, got)
		}
	}
}
