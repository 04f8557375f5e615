package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// asked are the values that people type in behind a button. The platforms know the rest.
var asked = []string{
	"SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_URL", "TIKBRIDGE_APP_ORIGINS",
	"TIKTOK_CLIENT_KEY", "TIKTOK_CLIENT_SECRET",
}

const image = "ghcr.io/tikbridge/tikbridge"

// strict reads YAML into a value: an unknown field or one in the wrong place is an error.
func strict(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// render reads render.yaml, with the fields of https://render.com/docs/blueprint-spec that it uses. Render's
// own schema has no licence to copy it here.
func render(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Services []struct {
			Type    string `json:"type"`
			Name    string `json:"name"`
			Runtime string `json:"runtime"`
			Image   struct {
				URL string `json:"url"`
			} `json:"image"`
			Plan            string `json:"plan"`
			HealthCheckPath string `json:"healthCheckPath"`
			EnvVars         []struct {
				Key         string  `json:"key"`
				Value       *string `json:"value"`
				Sync        *bool   `json:"sync"`
				FromService *struct {
					Type      string `json:"type"`
					Name      string `json:"name"`
					EnvVarKey string `json:"envVarKey"`
				} `json:"fromService"`
			} `json:"envVars"`
		} `json:"services"`
	}
	strict(t, "render.yaml", &file)
	s := file.Services[0]
	if s.Type != "web" || s.Runtime != "image" || s.Image.URL != image+":latest" {
		t.Errorf("Render runs %s %s %s", s.Type, s.Runtime, s.Image.URL)
	}
	settings := map[string]string{}
	for _, v := range s.EnvVars {
		switch {
		case v.Value != nil:
			settings[v.Key] = *v.Value
		case v.FromService != nil:
			if v.FromService.Name != s.Name || v.FromService.Type != s.Type || v.FromService.EnvVarKey != "RENDER_EXTERNAL_URL" {
				t.Errorf("%s is not the service's own address: %+v", v.Key, v.FromService)
			}
			settings[v.Key] = "https://tikbridge.onrender.com"
		case v.Sync == nil || *v.Sync:
			t.Errorf("%s has no value, and Render does not ask for one", v.Key)
		default:
			settings[v.Key] = ""
		}
	}
	return settings
}

// digitalOcean reads .do/deploy.template.yaml into the types of DigitalOcean's client, which are made from
// the specification.
func digitalOcean(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Spec json.RawMessage `json:"spec"`
	}
	strict(t, ".do/deploy.template.yaml", &file)
	var spec godo.AppSpec
	decoder := json.NewDecoder(bytes.NewReader(file.Spec))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		t.Fatal(err)
	}
	s := spec.Services[0]
	if i := s.Image; i.RegistryType != godo.ImageSourceSpecRegistryType_Ghcr ||
		"ghcr.io/"+i.Registry+"/"+i.Repository != image {
		t.Errorf("DigitalOcean runs %+v", i)
	}
	settings := map[string]string{}
	for _, v := range s.Envs {
		if v.Scope != godo.AppVariableScope_RunTime {
			t.Errorf("%s is for %s", v.Key, v.Scope)
		}
		if secret := strings.HasSuffix(v.Key, "_SECRET") || strings.HasSuffix(v.Key, "_SECRET_KEY"); secret !=
			(v.Type == godo.AppVariableType_Secret) {
			t.Errorf("%s has the type %q", v.Key, v.Type)
		}
		settings[v.Key] = strings.Replace(v.Value, "${APP_URL}", "https://tikbridge-abcde.ondigitalocean.app", 1)
	}
	return settings
}

// railway reads configs/railway.env.
func railway(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open(root + "/configs/railway.env")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	settings := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			settings[key] = strings.Replace(value, "${{RAILWAY_PUBLIC_DOMAIN}}", "tikbridge.up.railway.app", 1)
		}
	}
	return settings
}

// TestButtons: people are asked for six values and nothing else, and with them the bridge starts.
func TestButtons(t *testing.T) {
	check := configCheck(t)
	for name, settings := range map[string]map[string]string{
		"Render": render(t), "DigitalOcean": digitalOcean(t), "Railway": railway(t),
	} {
		t.Run(name, func(t *testing.T) {
			var open []string
			for key, value := range settings {
				if value == "" {
					open = append(open, key)
				}
			}
			slices.Sort(open)
			if diff := cmp.Diff(asked, open); diff != "" {
				t.Errorf("people are asked for (-want +got):\n%s", diff)
			}
			typed := with(secrets, filledIn)
			delete(typed, "TIKBRIDGE_SERVER_PUBLIC_URL")
			out, err := check(with(settings, typed))
			if err != nil || !strings.Contains(out, "The configuration is complete.") ||
				strings.Contains(out, "\nwarning") || strings.HasPrefix(out, "warning") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
