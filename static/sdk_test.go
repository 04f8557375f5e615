package static_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"testing"

	"github.com/tikbridge/tikbridge/static"
)

// TestSDKPackage: the npm package has what the bridge serves below /sdk/ and nothing that npm would have to fetch.
func TestSDKPackage(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("sdk/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(content, &manifest); err != nil {
		t.Fatal(err)
	}
	served, err := fs.Glob(static.Files, "sdk/*")
	if err != nil {
		t.Fatal(err)
	}
	var packed []string
	for _, name := range manifest["files"].([]any) {
		packed = append(packed, "sdk/"+name.(string))
	}
	slices.Sort(packed)
	if !slices.Equal(packed, served) {
		t.Errorf("the package has %v; the bridge serves %v", packed, served)
	}
	for _, key := range []string{"dependencies", "peerDependencies", "optionalDependencies", "scripts"} {
		if manifest[key] != nil {
			t.Errorf("the package has %s", key)
		}
	}
	ours, _ := os.ReadFile("../LICENSE")
	if packed, err := os.ReadFile("sdk/LICENSE"); err != nil || string(packed) != string(ours) {
		t.Errorf("the package has another licence: %v", err)
	}
}
