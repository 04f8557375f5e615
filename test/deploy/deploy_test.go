// Package deploy checks the files that deploy the bridge: docker-compose.yml, those in configs, and the
// workflow of CI. It is a module of its own, so that the bridge does not depend on Kubernetes.
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

// TestWorkflow runs actionlint.
func TestWorkflow(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflow: %v", err)
	}
	var complaints bytes.Buffer
	linter, err := actionlint.NewLinter(&complaints, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := linter.LintFiles(files, nil); err != nil || len(found) > 0 {
		t.Errorf("actionlint: %v\n%s", err, &complaints)
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
func cloudRun(t *testing.T) corev1.Container {
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
	return service.Spec.Template.Spec.Containers[0]
}

// fly reads configs/fly.toml, with the fields of flyctl's internal/appconfig that it uses. In TOML a key
// below a table belongs to it, and Fly does not mind one that it does not know there.
func fly(t *testing.T) (env map[string]string) {
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
			Dockerfile string `toml:"dockerfile"`
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
	if _, err := os.Stat(filepath.Join(root, "configs", app.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	return app.Env
}

// TestSettings: with the secrets that docs/deploy.md names and its placeholders filled in, the settings of each
// recipe are complete, and only the made-up scheme is worth a warning. Before, each placeholder is named.
func TestSettings(t *testing.T) {
	secrets := map[string]string{
		"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_made_up", "SUPABASE_SECRET_KEY": "sb_secret_made_up",
		"TIKTOK_CLIENT_SECRET": "made_up",
	}
	filledIn := map[string]string{
		"SUPABASE_URL": "https://bcdefghijklmnopqrstu.supabase.co", "TIKTOK_CLIENT_KEY": "awmadeup",
		"TIKBRIDGE_APP_ORIGINS": "https://app.ours.test", "TIKBRIDGE_SERVER_PUBLIC_URL": "https://signin.ours.test",
	}
	onCloudRun := map[string]string{}
	for _, v := range cloudRun(t).Env {
		if v.ValueFrom == nil {
			onCloudRun[v.Name] = v.Value
		} else {
			onCloudRun[v.Name] = secrets[v.Name]
		}
	}
	binary := filepath.Join(t.TempDir(), "tikbridge")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", root, "-o", binary, "./cmd/tikbridge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	check := func(settings map[string]string) (string, error) {
		cmd := exec.CommandContext(t.Context(), binary, "config", "check")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		for key, value := range settings {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for name, settings := range map[string]map[string]string{
		"Kubernetes": with(secrets, decode(t).config.Data),
		"Fly.io":     with(secrets, fly(t)),
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
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	content, err := os.ReadFile(root + "/configs/systemd/tikbridge.service")
	if err != nil {
		t.Fatal(err)
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
