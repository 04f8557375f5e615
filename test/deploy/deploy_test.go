// Package deploy checks the files that deploy and release the bridge: docker-compose.yml, those in configs,
// those of the buttons, the workflows and the action. It is a module of its own, so that the bridge does not
// depend on Kubernetes.
package deploy

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"github.com/rhysd/actionlint"
	"github.com/yannh/kubeconform/pkg/validator"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// TestWorkflow runs actionlint on our workflows, and on the one that people copy.
func TestWorkflow(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/workflows/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("no workflows: %v %v", files, err)
	}
	files = append(files, root+"/static/examples/ci/sign-in.yml")
	var complaints bytes.Buffer
	linter, err := actionlint.NewLinter(&complaints, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := linter.LintFiles(files, nil); err != nil || len(found) > 0 {
		t.Errorf("actionlint: %v\n%s", err, &complaints)
	}
}

// TestNotes: a release says what CHANGELOG.md says of its version, and there is none of a version without a section.
func TestNotes(t *testing.T) {
	notes, err := exec.CommandContext(t.Context(), root+"/.ci/notes", "v0.1.0").Output()
	if err != nil || !bytes.Contains(notes, []byte("### Added")) || bytes.Contains(notes, []byte("[Unreleased]")) {
		t.Errorf("%v\n%s", err, notes)
	}
	for _, tag := range []string{"v0.1", "v9.9.9", "main"} {
		if out, err := exec.CommandContext(t.Context(), root+"/.ci/notes", tag).Output(); err == nil {
			t.Errorf("%s has notes:\n%s", tag, out)
		}
	}
}

// TestComposeFile lets Docker read the file, where there is one.
func TestComposeFile(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "docker", "compose", "version").Run(); err != nil {
		t.Skip("Docker with its Compose plugin is not installed")
	}
	for _, args := range [][]string{nil, {"--profile", "scale"}, {"--env-file", root + "/.env.example"}} {
		args = append([]string{"compose", "--file", root + "/docker-compose.yml"}, args...)
		if out, err := exec.CommandContext(
			t.Context(), "docker", append(args, "config", "--quiet")...,
		).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("docker %s config: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestComposeImages: what one service builds, no other tries to pull: there is no such image anywhere.
func TestComposeImages(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image      string `json:"image"`
			Build      any    `json:"build"`
			PullPolicy string `json:"pull_policy"`
		} `json:"services"`
	}
	content, err := os.ReadFile(root + "/docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	built := ""
	for _, s := range file.Services {
		if s.Build != nil {
			built = s.Image
		}
	}
	users := 0
	for name, s := range file.Services {
		if s.Image != built || s.Build != nil {
			continue
		}
		if users++; s.PullPolicy != "never" {
			t.Errorf("%s uses an image that is built here, and has the pull policy %q", name, s.PullPolicy)
		}
	}
	if users != 4 {
		t.Errorf("%d services use the image; want the other two bridges, the demo app and TikTok", users)
	}
}

// documents are the pages that tell people what to run.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, name := range append(names, root+"/README.md") {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(name)] = string(content)
	}
	return pages
}

// TestCommands: what the docs tell people to run works as it stands.
func TestCommands(t *testing.T) {
	pages := documents(t)
	app, _ := fly(t)
	inARow := regexp.MustCompile(`make image[^\n]* VERSION=(\S+)[^` + "`" + `]*\s\S*tikbridge:(\S+)\n`)
	for name, page := range pages {
		for line := range strings.Lines(page) {
			line = strings.TrimSpace(line)
			switch {
			case strings.Contains(line, "docker compose down"):
				t.Errorf("%s: without --profile scale this leaves what SCALE=1 started: %s", name, line)
			case strings.HasPrefix(line, "fly apps create ") && line != "fly apps create "+app:
				t.Errorf("%s: fly.toml has another name than %s", name, line)
			case strings.HasPrefix(line, "fly ") && !strings.HasPrefix(line, "fly apps create ") && !strings.Contains(line, "-c configs/fly.toml"):
				t.Errorf("%s: Fly looks for fly.toml in this folder: %s", name, line)
			}
		}
		images := regexp.MustCompile(`(?m)^ *docker (?:run|push) .*tikbridge:v`).FindAllString(page, -1)
		rows := inARow.FindAllStringSubmatch(page, -1)
		if len(rows) != len(images) {
			t.Errorf("%s runs or pushes %d images, and builds %d", name, len(images), len(rows))
		}
		for _, m := range rows {
			if m[1] != m[2] {
				t.Errorf("%s builds %s and uses %s", name, m[1], m[2])
			}
		}
	}
	for page, words := range map[string][]string{
		"compose.md": {"Compose plugin, 2.20.2 or newer", "Buildx"}, // depends_on.required; FROM --platform
		"deploy.md": {"Buildx", "DOCKER_DEFAULT_PLATFORM=linux/amd64", image, "--no-cpu-throttling", "domain-mappings create",
			"127.0.0.1:9090"},
	} {
		for _, word := range words {
			if !strings.Contains(pages[page], word) {
				t.Errorf("%s does not say %q", page, word)
			}
		}
	}
}

// TestEnvExample: .env.example has the variables of docker-compose.yml, with their defaults.
func TestEnvExample(t *testing.T) {
	read := func(name, pattern string) map[string]string {
		content, err := os.ReadFile(root + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		variables := map[string]string{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			variables[m[1]] = m[2]
		}
		return variables
	}
	want := read("docker-compose.yml", `\$\{([A-Z_]+):-([^}]*)\}`)
	// The Makefile sets these, and the example shows the way to more bridges.
	delete(want, "VERSION")
	delete(want, "REVISION")
	want["COMPOSE_PROFILES"], want["TIKBRIDGE_STORE_REDIS_URL"] = "scale", "redis://redis:6379/0"
	if diff := cmp.Diff(want, read(".env.example", `(?m)^# ([A-Z_]+)=(.*)$`)); diff != "" {
		t.Errorf(".env.example (-docker-compose.yml +.env.example):\n%s", diff)
	}
}

// cluster is what the Kubernetes files ask for.
type cluster struct {
	namespace  corev1.Namespace
	config     corev1.ConfigMap
	deployment appsv1.Deployment
	service    corev1.Service
	autoscaler autoscalingv2.HorizontalPodAutoscaler
	disruption policyv1.PodDisruptionBudget
	network    networkingv1.NetworkPolicy
}

// build renders configs/kubernetes as `kubectl apply --kustomize` does.
func build(t *testing.T) map[string][]byte {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(
		filesys.MakeFsOnDisk(), root+"/configs/kubernetes",
	)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, r := range resources.Resources() {
		content, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		files[r.GetKind()] = content
	}
	return files
}

// decode reads the files into Kubernetes' own types: an unknown field, a field in the wrong place, or
// a value of the wrong type is an error.
func decode(t *testing.T) cluster {
	t.Helper()
	var c cluster
	into := map[string]any{
		"Namespace": &c.namespace, "ConfigMap": &c.config, "Deployment": &c.deployment, "Service": &c.service,
		"HorizontalPodAutoscaler": &c.autoscaler, "PodDisruptionBudget": &c.disruption, "NetworkPolicy": &c.network,
	}
	files := build(t)
	for kind, object := range into {
		if err := yaml.UnmarshalStrict(files[kind], object); err != nil || files[kind] == nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for kind := range files {
		if into[kind] == nil {
			t.Errorf("%s is not checked", kind)
		}
	}
	return c
}

// TestKubernetes: the files are what Kubernetes knows, and fit each other.
func TestKubernetes(t *testing.T) {
	c := decode(t)
	if t.Failed() {
		t.FailNow()
	}
	pod := c.deployment.Spec.Template
	for what, selector := range map[string]map[string]string{
		"Deployment":          c.deployment.Spec.Selector.MatchLabels,
		"Service":             c.service.Spec.Selector,
		"PodDisruptionBudget": c.disruption.Spec.Selector.MatchLabels,
		"NetworkPolicy":       c.network.Spec.PodSelector.MatchLabels,
		"spread":              pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if diff := cmp.Diff(pod.Labels, selector); diff != "" {
			t.Errorf("%s does not select the pods (-pods +selector):\n%s", what, diff)
		}
	}
	if got := c.autoscaler.Spec.ScaleTargetRef; got.Name != c.deployment.Name || got.Kind != "Deployment" ||
		got.APIVersion != "apps/v1" {
		t.Errorf("the autoscaler scales %v", got)
	}
	if c.deployment.Spec.Replicas != nil {
		t.Error("the Deployment says how many pods there are, against the autoscaler")
	}
	for _, namespace := range []string{
		c.config.Namespace, c.deployment.Namespace, c.service.Namespace, c.autoscaler.Namespace, c.disruption.Namespace,
		c.network.Namespace,
	} {
		if namespace != c.namespace.Name {
			t.Errorf("something is in namespace %q", namespace)
		}
	}

	container := pod.Spec.Containers[0]
	ports := map[string]bool{}
	for _, p := range container.Ports {
		ports[p.Name] = true
	}
	named := []string{
		c.service.Spec.Ports[0].TargetPort.String(), container.LivenessProbe.HTTPGet.Port.String(),
		container.ReadinessProbe.HTTPGet.Port.String(),
	}
	for _, rule := range c.network.Spec.Ingress {
		for _, p := range rule.Ports {
			named = append(named, p.Port.String())
		}
	}
	for _, name := range named {
		if !ports[name] {
			t.Errorf("port %q is none of the container's", name)
		}
	}
	if got := container.EnvFrom[0].ConfigMapRef.Name; got != c.config.Name {
		t.Errorf("the settings come from %q; want %q", got, c.config.Name)
	}
	if !strings.Contains(c.config.Data["TIKBRIDGE_SERVER_ADMIN_LISTEN"], ":9090") || !ports["admin"] {
		t.Error("the probes ask a port that the bridge does not listen on")
	}
	if *pod.Spec.SecurityContext.RunAsUser != 65532 || !*container.SecurityContext.ReadOnlyRootFilesystem ||
		*container.SecurityContext.AllowPrivilegeEscalation ||
		!slices.Contains(container.SecurityContext.Capabilities.Drop, "ALL") {
		t.Errorf("the pod may do too much: %v", container.SecurityContext)
	}
	if grace := *pod.Spec.TerminationGracePeriodSeconds; grace <= 20 {
		t.Errorf("%d s to end are too few: by default the bridge takes up to 20", grace)
	}
}

// TestKubernetesSchemas runs kubeconform with the published schemas, which are on the internet, or with
// those in the folder KUBERNETES_SCHEMAS.
func TestKubernetesSchemas(t *testing.T) {
	const version, published = "1.34.0", "https://raw.githubusercontent.com/yannh/kubernetes-json-schema/master"
	schemas := os.Getenv("KUBERNETES_SCHEMAS")
	if schemas == "" {
		schemas = published
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(
			ctx, http.MethodHead, published+"/v"+version+"-standalone-strict/deployment-apps-v1.json", http.NoBody,
		)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Skipf("the schemas cannot be reached: %v", err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Skipf("the schemas cannot be reached: %s", resp.Status)
		}
	}
	v, err := validator.New([]string{schemas}, validator.Opts{Strict: true, KubernetesVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	for kind, content := range build(t) {
		for _, result := range v.Validate(kind, io.NopCloser(bytes.NewReader(content))) {
			if result.Status != validator.Valid {
				t.Errorf("%s: %v %v", kind, result.Err, result.ValidationErrors)
			}
		}
	}
}

// cloudRun reads configs/cloudrun.yaml. A container of Cloud Run is one of Kubernetes, with fewer fields.
func cloudRun(t *testing.T) (corev1.Container, map[string]string) {
	t.Helper()
	content, err := os.ReadFile(root + "/configs/cloudrun.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var service struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   metav1.ObjectMeta `json:"metadata"`
		Spec       struct {
			Template struct {
				Metadata metav1.ObjectMeta `json:"metadata"`
				Spec     struct {
					ContainerConcurrency int                `json:"containerConcurrency"`
					TimeoutSeconds       int                `json:"timeoutSeconds"`
					Containers           []corev1.Container `json:"containers"`
				} `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(content, &service); err != nil {
		t.Fatal(err)
	}
	return service.Spec.Template.Spec.Containers[0], service.Spec.Template.Metadata.Annotations
}

// fly reads configs/fly.toml, with the fields of flyctl's internal/appconfig that it uses. In TOML a key
// below a table belongs to it, and Fly does not mind one that it does not know there.
func fly(t *testing.T) (name string, env map[string]string) {
	t.Helper()
	content, err := os.ReadFile(root + "/configs/fly.toml")
	if err != nil {
		t.Fatal(err)
	}
	var app struct {
		App           string            `toml:"app"`
		PrimaryRegion string            `toml:"primary_region"`
		KillSignal    string            `toml:"kill_signal"`
		KillTimeout   string            `toml:"kill_timeout"`
		Env           map[string]string `toml:"env"`
		Build         struct {
			Image string `toml:"image"`
		} `toml:"build"`
		HTTPService struct {
			InternalPort     int    `toml:"internal_port"`
			ForceHTTPS       bool   `toml:"force_https"`
			AutoStopMachines string `toml:"auto_stop_machines"`
			Checks           []struct {
				Method      string `toml:"method"`
				Path        string `toml:"path"`
				Interval    string `toml:"interval"`
				Timeout     string `toml:"timeout"`
				GracePeriod string `toml:"grace_period"`
			} `toml:"checks"`
		} `toml:"http_service"`
		Metrics struct {
			Port int    `toml:"port"`
			Path string `toml:"path"`
		} `toml:"metrics"`
		VM []struct {
			Size   string `toml:"size"`
			Memory string `toml:"memory"`
		} `toml:"vm"`
	}
	decoder := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields()
	if err := decoder.Decode(&app); err != nil {
		t.Fatal(err)
	}
	if app.Build.Image != image+":latest" {
		t.Errorf("Fly.io runs %s", app.Build.Image)
	}
	return app.App, app.Env
}

// What people put in for the secrets and the placeholders.
var (
	secrets = map[string]string{
		"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_made_up", "SUPABASE_SECRET_KEY": "sb_secret_made_up",
		"TIKTOK_CLIENT_SECRET": "made_up",
	}
	filledIn = map[string]string{
		"SUPABASE_URL": "https://bcdefghijklmnopqrstu.supabase.co", "TIKTOK_CLIENT_KEY": "awmadeup",
		"TIKBRIDGE_APP_ORIGINS": "https://app.ours.test", "TIKBRIDGE_SERVER_PUBLIC_URL": "https://signin.ours.test",
	}
)

// configCheck builds the bridge, and returns what `tikbridge config check` says of settings.
func configCheck(t *testing.T) func(map[string]string) (string, error) {
	t.Helper()
	binary := buildBridge(t)
	return func(settings map[string]string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, "config", "check")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		for key, value := range settings {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func buildBridge(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tikbridge")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-o", binary, "./cmd/tikbridge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestSettings: with the secrets that docs/deploy.md names and its placeholders filled in, the settings of each
// recipe are complete, and only the made-up scheme is worth a warning. Before, each placeholder is named.
func TestSettings(t *testing.T) {
	onCloudRun := map[string]string{}
	_, onFly := fly(t)
	container, annotations := cloudRun(t)
	if annotations["run.googleapis.com/cpu-throttling"] != "false" {
		t.Error("Cloud Run throttles the CPU while profiles are stored")
	}
	for _, v := range container.Env {
		if v.ValueFrom == nil {
			onCloudRun[v.Name] = v.Value
		} else {
			onCloudRun[v.Name] = secrets[v.Name]
		}
	}
	check := configCheck(t)
	for name, settings := range map[string]map[string]string{
		"Kubernetes": with(secrets, decode(t).config.Data),
		"Fly.io":     with(secrets, onFly),
		"Cloud Run":  onCloudRun,
	} {
		t.Run(name, func(t *testing.T) {
			out, err := check(settings)
			if err == nil || strings.Count(out, " is a placeholder") != len(filledIn) {
				t.Errorf("%v; want all placeholders to be named\n%s", err, out)
			}
			out, err = check(with(settings, filledIn))
			if err != nil || !strings.Contains(out, "The configuration is complete.") {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "warning") && !strings.Contains(line, "placeholder") {
					t.Error(line)
				}
			}
		})
	}
}

// with returns both maps in one.
func with(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// TestSystemd lets systemd read its unit, where there is systemd. The binary need not be installed.
func TestSystemd(t *testing.T) {
	content, err := os.ReadFile(root + "/configs/systemd/tikbridge.service")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, []byte("\nProcSubset=pid")) {
		t.Error("the unit hides /proc/stat, and process_start_time_seconds with it: TikbridgeRestarts never fires")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	unit := filepath.Join(t.TempDir(), "tikbridge.service")
	if err := os.WriteFile(
		unit, bytes.ReplaceAll(content, []byte("/usr/local/bin/tikbridge"), []byte("/bin/true")), 0o600,
	); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(
		t.Context(), "systemd-analyze", "verify", "--man=no", unit,
	).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
