package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

func TestBadValuesAreRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"unknown value":               {`replica: 3`, "additional properties 'replica' not allowed"},
		"unknown value deeper":        {`policy: {defualt: baseline}`, "at '/policy': additional properties 'defualt' not allowed"},
		"unknown level":               {`policy: {default: strict}`, "at '/policy/default': value must be one of 'off', 'baseline', 'restricted'"},
		"yes as a level":              {`policy: {default: yes}`, "at '/policy/default': value must be one of"},
		"null instead of a list":      {`excludedNamespaces: null`, "missing property 'excludedNamespaces'"},
		"null instead of a URL":       {`external: {url: null}`, "at '/external': missing property 'url'"},
		"no level":                    {`policy: {default: null}`, "at '/policy'"},
		"unknown Pod Security level":  {`podSecurityDefault: off`, "at '/podSecurityDefault'"},
		"parameters that are a list":  {`policy: {parameters: []}`, "at '/policy/parameters': got array, want object"},
		"rules that are no file":      {`policy: {rules: {no_nfs: "package custom.no_nfs"}}`, "invalid propertyName 'no_nfs'"},
		"no replicas":                 {`replicas: 0`, "at '/replicas'"},
		"unknown mode":                {`certificates: {mode: manual}`, "at '/certificates/mode': value must be one of 'self-managed', 'cert-manager'"},
		"issuer without a name":       {`certificates: {mode: cert-manager, issuerRef: {kind: Issuer}}`, "at '/certificates/issuerRef'"},
		"issuer without cert-manager": {`certificates: {issuerRef: {name: corporate}}`, "certificates.issuerRef: has a meaning only with certificates.mode cert-manager"},
		"plain HTTP":                  {`external: {url: "http://localhost:9443"}`, "at '/external/url'"},
		"URL with a query":            {`external: {url: "https://localhost:9443?a=b"}`, "at '/external/url'"},
		"URL with a user":             {`external: {url: "https://me@localhost:9443"}`, "at '/external/url'"},
		"URL with a trailing slash":   {`external: {url: "https://localhost:9443/"}`, "at '/external/url'"},
		"IPv4 address without a CA":   {`external: {url: "https://127.0.0.1:9443"}`, "external.url: the certificate that the webhook makes holds names, not addresses such as 127.0.0.1"},
		"IPv6 address without a CA":   {`external: {url: "https://[::1]:9443"}`, "not addresses such as ::1"},
		"CA that is not base64":       {`external: {url: "https://localhost:9443", caBundle: "-----BEGIN CERTIFICATE-----"}`, "at '/external/caBundle'"},
		"CA without a URL":            {`external: {caBundle: LS0tLS1CRUdJTg==}`, "external.caBundle: has a meaning only with external.url"},
		"cert-manager outside":        {`{external: {url: "https://localhost:9443"}, certificates: {mode: cert-manager}}`, "certificates.mode: "},
		"digest that is a tag":        {`image: {digest: v1}`, "at '/image/digest'"},
		"nobody is administrator":     {`administrators: {groups: [], users: []}`, "at '/administrators'"},
		"excluded namespace twice":    {`excludedNamespaces: [a, a]`, "at '/excludedNamespaces'"},
		"no such resource field":      {`resources: {limit: {memory: 1Gi}}`, "at '/resources': additional properties 'limit' not allowed"},

		"receiver that is not in a list": {`alerts: {webhooks: "http://a"}`, "at '/alerts/webhooks': got string, want array"},
		"null instead of receivers":      {`alerts: {webhooks: null}`, "at '/alerts': missing property 'webhooks'"},
		"unknown kind of receiver":       {`alerts: {pagers: []}`, "at '/alerts': additional properties 'pagers' not allowed"},
		"receiver that is no URL":        {`alerts: {alertmanagers: ["alertmanager:9093"]}`, "at '/alerts/alertmanagers/0'"},
		"receiver without a host":        {`alerts: {alertmanagers: ["http:///a"]}`, "at '/alerts/alertmanagers/0'"},
		"receiver with another scheme":   {`alerts: {alertmanagers: ["http://a", "ftp://b"]}`, "at '/alerts/alertmanagers/1'"},
		"receiver with a password":       {`alerts: {webhooks: ["http://me:secret@a/"]}`, "at '/alerts/webhooks/0'"},
		"two receivers in one":           {`alerts: {webhooks: ["http://a/,http://b/"]}`, "at '/alerts/webhooks/0'"},
		"receiver with a space":          {`alerts: {webhooks: ["http://a/b c"]}`, "at '/alerts/webhooks/0'"},
		"receiver with a variable":       {`alerts: {webhooks: ["http://a/$(HOME)"]}`, "at '/alerts/webhooks/0'"},
		"two receivers of one host":      {`alerts: {alertmanagers: ["http://a:1", "http://a:2/b"], webhooks: ["http://a:2/c"]}`, "alerts.webhooks[0]: another receiver is at a:2, too"},
		"receiver twice":                 {`alerts: {webhooks: ["http://a/", "http://a/"]}`, "at '/alerts/webhooks'"},

		"audit with a Prometheus duration": {`audit: {interval: 1d}`, "at '/audit/interval'"},
		"audit that never ends":            {`audit: {interval: 0m}`, "at '/audit/interval'"},
		"reports that are a word":          {`audit: {reports: true}`, "at '/audit/reports': got boolean, want object"},

		"grant without profiles":          {`grants: [{namespace: video}]`, "at '/grants/0': missing property 'profiles'"},
		"grant of nothing":                {`grants: [{namespace: video, profiles: []}]`, "at '/grants/0/profiles': minItems"},
		"grant without a namespace":       {`grants: [{profiles: [video-probe]}]`, "at '/grants/0': missing property 'namespace'"},
		"grant for all namespaces":        {`grants: [{namespace: "*", profiles: [video-probe]}]`, "at '/grants/0/namespace'"},
		"grant with more than it knows":   {`grants: [{namespace: video, profiles: [full], capabilities: [SYS_ADMIN]}]`, "additional properties 'capabilities' not allowed"},
		"grant of an unknown profile":     {`grants: [{namespace: video, profiles: [video-prob]}]`, `grants[0]: there is no profile "video-prob", only debug, full, video-probe`},
		"grant given twice":               {`grants: [{namespace: video, profiles: [full]}, {namespace: video, profiles: [debug]}]`, "grants[1]: namespace video has a grant already"},
		"grant for kube-system":           {`grants: [{namespace: kube-system, profiles: [full]}]`, "nothing is ever injected in namespace kube-system"},
		"grant for the own namespace":     {`grants: [{namespace: debugsidecar, profiles: [full]}]`, "nothing is ever injected in namespace debugsidecar"},
		"grant for an excluded namespace": {`{excludedNamespaces: [video], grants: [{namespace: video, profiles: [full]}]}`, "nothing is ever injected in namespace video"},

		"profile called disabled":       {`profiles: {disabled: "a: b"}`, "profiles.disabled: as a label, this word means no sidecar"},
		"profile with a file's name":    {`profiles: {a.yaml: "a: b"}`, "profiles.a.yaml: the name becomes part of a container's name"},
		"profile with a long name":      {`profiles: {` + strings.Repeat("a", 51) + `: "a: b"}`, "at most 50 lower-case letters"},
		"profile that is not text":      {`profiles: {thermal: {template: x}}`, "at '/profiles/thermal': got object, want string"},
		"profile like an embedded one":  {`profiles: {video-probe: "a: b"}`, "profiles.video-probe: an embedded profile has this name"},
		"image of an unknown component": {`images: {webhook: x}`, "at '/images': additional properties 'webhook' not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := template(t, c.values)
			if err == nil {
				t.Fatalf("accepted, and rendered:\n%s", out)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestEveryValueIsInTheManual(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(data, &values); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range values {
		if !strings.Contains(string(page), "`"+name) {
			t.Errorf("docs/install.md does not mention the value %s", name)
		}
	}
}

func TestUnquotedOffMeansOff(t *testing.T) {
	quoted, err := template(t, `policy: {default: "off"}`)
	if err != nil {
		t.Fatal(err)
	}
	unquoted, err := template(t, `policy: {default: off}`)
	if err != nil {
		t.Fatal(err)
	}
	if quoted != unquoted {
		t.Error("they differ")
	}
}

// The chart must know the names of the embedded profiles to check the grants.
func TestChartKnowsTheEmbeddedProfiles(t *testing.T) {
	files, err := filepath.Glob("../../webhook/inject/profile/embedded/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no embedded profiles", err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".yaml"))
	}
	slices.Sort(names)
	_, err = template(t, `grants: [{namespace: video, profiles: [nosuch]}]`)
	if want := "only " + strings.Join(names, ", ") + "\n"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestProfileReachesItsFileUnchanged(t *testing.T) {
	for name, text := range map[string]string{
		"template": "{{ .Images.sidecar }} {{- /* x */ -}}\n",
		"quotes":   "a: 'it''s \"so\"' # \\ \t$HOME\n",
		"unicode":  "a: é\u2028 <b>&\n",
		"spaces":   "\n\n  a: b  \n\n\n",
	} {
		values, err := yaml.Marshal(map[string]any{"profiles": map[string]string{"mine": text}})
		if err != nil {
			t.Fatal(err)
		}
		got := named[*corev1.ConfigMap](t, render(t, string(values)), "debugsidecar-profiles").Data
		if len(got) != 1 || got["mine.yaml"] != text {
			t.Errorf("%s: got %q, want %q", name, got, text)
		}
	}
}

func TestNamesFollowTheRelease(t *testing.T) {
	for name, c := range map[string]struct{ release, values, want string }{
		"release of the chart's name": {"debugsidecar", "", "debugsidecar"},
		"other release":               {"prod", "", "prod-debugsidecar"},
		"release that contains it":    {"my-debugsidecar", "", "my-debugsidecar"},
		"release that is a number":    {"1", "", "1-debugsidecar"},
		"other chart name":            {"prod", "nameOverride: probe", "prod-probe"},
		"other full name":             {"prod", "fullnameOverride: probe", "probe"},
		"longest release":             {strings.Repeat("x", 53), "", strings.Repeat("x", 52)},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := templateAs(t, c.release, c.values)
			if err != nil {
				t.Fatal(err)
			}
			objects := decode(t, text)
			if got := only[*admission.MutatingWebhookConfiguration](t, objects).Name; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			for _, o := range objects {
				if !strings.HasPrefix(o.GetName(), c.want) {
					t.Errorf("%T is called %s", o, o.GetName())
				}
				if o.GetNamespace() != "" && len(o.GetName()) > 63 {
					t.Errorf("%T has a name of %d characters", o, len(o.GetName()))
				}
			}
		})
	}
}

func TestNumbersAreGoodNames(t *testing.T) {
	objects := render(t, `{excludedNamespaces: ["1"], fullnameOverride: a, nameOverride: b}`, "--namespace", "123")
	for _, o := range objects {
		if ns := o.GetNamespace(); ns != "" && ns != "123" {
			t.Errorf("%T is in namespace %s", o, ns)
		}
	}
}

func TestEveryObjectSaysWhoseItIs(t *testing.T) {
	for name, values := range variants(t) {
		for _, o := range render(t, values) {
			l := o.GetLabels()
			if hook := o.GetAnnotations()["helm.sh/hook"]; hook == "test" {
				// Made by helm test and removed with it; the Service must not select it.
				if l["app.kubernetes.io/instance"] != "" || !strings.Contains(o.GetAnnotations()["helm.sh/hook-delete-policy"], "hook-succeeded") {
					t.Errorf("%s: %s has labels %v and stays", name, client.ObjectKeyFromObject(o), l)
				}
				continue
			}
			if l["app.kubernetes.io/instance"] != "debugsidecar" || l["app.kubernetes.io/managed-by"] != "Helm" {
				t.Errorf("%s: %T %s has labels %v", name, o, client.ObjectKeyFromObject(o), l)
			}
			if len(o.GetFinalizers()) > 0 || len(o.GetAnnotations()["helm.sh/hook"]) > 0 {
				t.Errorf("%s: %T %s could keep an uninstall from ending", name, o, client.ObjectKeyFromObject(o))
			}
		}
	}
}
