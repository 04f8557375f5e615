package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestAction runs the script of action.yml with a Docker and a curl that only say what they were asked. What the
// action promises to workflows is where `tikbridge dev` listens, and its keys.
func TestAction(t *testing.T) {
	type input struct {
		Description string `json:"description"`
		Default     string `json:"default"`
	}
	var action struct {
		Name        string            `json:"name"`
		Description string            `json:"description"`
		Branding    map[string]string `json:"branding"`
		Inputs      map[string]input  `json:"inputs"`
		Outputs     map[string]struct {
			Description string `json:"description"`
			Value       string `json:"value"`
		} `json:"outputs"`
		Runs struct {
			Using string `json:"using"`
			Steps []struct {
				Shell string            `json:"shell"`
				Env   map[string]string `json:"env"`
				Run   string            `json:"run"`
			} `json:"steps"`
		} `json:"runs"`
	}
	strict(t, "action.yml", &action)
	step := action.Runs.Steps[0]

	tools := t.TempDir()
	for _, tool := range []string{"docker", "curl"} {
		script := "#!/bin/sh\necho " + tool + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(tools, tool), []byte(script), 0o700); err != nil { //nolint:gosec // to run it
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", step.Run)
	cmd.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH")}
	for name, value := range step.Env {
		for key, in := range action.Inputs {
			value = strings.ReplaceAll(value, "${{ inputs."+key+" }}", in.Default)
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"docker run --detach --name tikbridge --network host --env TIKBRIDGE_APP_ORIGINS " + image + ":latest dev\n",
		action.Outputs["bridge-url"].Value + "/readyz\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the action does not run %q:\n%s", want, out)
		}
	}

	help, err := exec.CommandContext(t.Context(), buildBridge(t), "dev", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bridge-url", "tiktok-url", "supabase-url"} {
		address := strings.TrimPrefix(action.Outputs[name].Value, "http://")
		if address == "" || !strings.Contains(string(help), `(default "`+address+`")`) {
			t.Errorf("dev does not listen on %s, the action's %s", address, name)
		}
	}
	pages := documents(t)
	for _, name := range []string{"supabase-publishable-key", "supabase-secret-key"} {
		if key := action.Outputs[name].Value; key == "" || !strings.Contains(pages["simulators.md"], key) {
			t.Errorf("%s is %q, which docs/simulators.md does not know", name, key)
		}
	}

	// The example uses nothing that the action does not have.
	var example struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string            `json:"uses"`
				With map[string]string `json:"with"`
				Env  map[string]string `json:"env"`
			} `json:"steps"`
		} `json:"jobs"`
	}
	content, err := os.ReadFile(root + "/static/examples/ci/sign-in.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &example); err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, s := range example.Jobs["sign-in"].Steps {
		if strings.HasPrefix(s.Uses, "tikbridge/tikbridge@") {
			for name := range s.With {
				if _, ok := action.Inputs[name]; !ok {
					t.Errorf("the example sets %s, which the action does not know", name)
				}
			}
		}
		for _, value := range s.Env {
			name, ok := strings.CutPrefix(value, "${{ steps.tikbridge.outputs.")
			if _, known := action.Outputs[strings.TrimSuffix(name, " }}")]; ok && known {
				used++
			} else {
				t.Errorf("the example uses %s, which the action does not have", value)
			}
		}
	}
	if used != 4 {
		t.Errorf("the example uses %d outputs; want 4", used)
	}
}
