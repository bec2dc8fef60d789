package admit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/debugsidecar/debugsidecar/webhook/config"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// shelf is a registry with signed and unsigned images.
type shelf struct {
	*httptest.Server
	host, ca, key string
	signer        signature.SignerVerifier
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{Server: httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))}
	t.Cleanup(s.Close)
	s.host = strings.TrimPrefix(s.URL, "https://")
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	s.signer, err = signature.LoadSignerVerifier(private, crypto.SHA256)
	noError(t, err)
	key, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	noError(t, err)
	s.key = string(key)
	return s
}

// push makes an image, signed or not, and returns its digest.
func (s *shelf) push(t *testing.T, text string, signed bool) string {
	t.Helper()
	image, err := random.Image(64, 1)
	noError(t, err)
	tag, err := name.NewTag(s.host + "/" + text)
	noError(t, err)
	through := remote.WithTransport(s.Client().Transport)
	noError(t, remote.Write(tag, image, through))
	digest, err := image.Digest()
	noError(t, err)
	if !signed {
		return digest.String()
	}
	said, err := payload.Cosign{Image: tag.Digest(digest.String())}.MarshalJSON()
	noError(t, err)
	sig, err := s.signer.SignMessage(bytes.NewReader(said))
	noError(t, err)
	beside, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:       static.NewLayer(said, "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig)},
	})
	noError(t, err)
	noError(t, remote.Write(tag.Context().Tag(strings.Replace(digest.String(), ":", "-", 1)+".sig"), beside, through))
	return digest.String()
}

// deps are those of a webhook that takes the sidecar of that tag.
func (s *shelf) deps(t *testing.T, mode, tag string) Deps {
	t.Helper()
	text, err := json.Marshal(map[string]any{ // which is YAML
		"images": map[string]string{"sidecar": s.host + "/team/sidecar:" + tag, "debug": s.host + "/team/debug:1"},
		"imageTrust": trust.Settings{
			Mode: trust.Mode(mode), Keys: []string{s.key}, Images: []string{s.host + "/listed/*"},
			Registries: []trust.Registry{{Host: s.host, CA: s.ca}},
		},
	})
	noError(t, err)
	file := filepath.Join(t.TempDir(), "config.yaml")
	noError(t, os.WriteFile(file, text, 0o600))
	snapshot, err := config.Load(config.Paths{Config: file})
	noError(t, err)
	d := newDeps(t, enforcing("baseline"))
	d.Config = func() *config.Snapshot { return snapshot }
	d.Recent = func() []*config.Snapshot { return []*config.Snapshot{snapshot} }
	d.Images = trust.New("", prometheus.NewRegistry(), d.Log)
	t.Cleanup(d.Images.Close)
	return d
}

func TestAMutationNeverBringsAnImageThatWouldBeDenied(t *testing.T) {
	s := newShelf(t)
	digest := s.push(t, "team/sidecar:signed", true)
	other := s.push(t, "team/sidecar:unsigned", false)
	for _, c := range []struct {
		mode, tag, image, warning string
	}{
		{"off", "signed", "signed", ""},
		{"enforce", "signed", "signed@" + digest, ""},
		{"enforce", "unsigned", "", "no signature by a trusted key"},
		{"enforce", "none", "", "has no such tag"},
		{"warn", "signed", "signed@" + digest, ""},
		{"warn", "unsigned", "unsigned@" + other, "no signature by a trusted key"},
		{"warn", "none", "none", "has no such tag"},
	} {
		t.Run(c.mode+" "+c.tag, func(t *testing.T) {
			d := s.deps(t, c.mode, c.tag)
			pod := `{"metadata":{"name":"p","labels":{"debugsidecar.io/inject":"video-probe"}},` + plain + `}`
			for round := range 2 { // twice equals once
				resp := answered(t, send(Mutate(d), http.MethodPost, head+`"object":`+pod+`}}`))
				if round == 1 && len(resp.Patch) > 0 && string(resp.Patch) != "[]" {
					t.Errorf("a second time changes %s", resp.Patch)
				}
				if len(resp.Patch) > 0 {
					pod = apply(t, pod, resp.Patch)
				}
				if text := strings.Join(resp.Warnings, "\n"); !strings.Contains(text, c.warning) {
					t.Errorf("got warnings %q, want %q", text, c.warning)
				}
				want := `"image":"` + s.host + "/team/sidecar:" + c.image + `"`
				if got := strings.Contains(pod, want); got != (c.image != "") || strings.Contains(pod, "debugsidecar-video-probe") != got {
					t.Errorf("want %s in %s", want, pod)
				}
				judged := answered(t, send(Trust(d), http.MethodPost, head+`"object":`+pod+`}}`))
				if !judged.Allowed {
					t.Errorf("it is denied: %s", judged.Result.Message)
				}
				// It is ours still, so that its grant holds.
				if judged := answered(t, send(Validate(d), http.MethodPost, head+`"object":`+pod+`}}`)); !judged.Allowed || len(judged.Warnings) > 0 {
					t.Errorf("got %+v, %q", judged.Result, judged.Warnings)
				}
			}
		})
	}
}

func TestARegistryThatHangsCostsTheSidecarInTime(t *testing.T) {
	s := newShelf(t)
	release := make(chan struct{})
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release; inner.ServeHTTP(w, r) })
	defer close(release)
	for mode, has := range map[string]bool{"enforce": false, "warn": true} {
		d := s.deps(t, mode, "1")
		start := time.Now()
		resp := answered(t, send(Mutate(d), http.MethodPost, wanting))
		if took := time.Since(start); took > 1900*time.Millisecond {
			t.Errorf("%s: it took %s", mode, took)
		}
		if got := strings.Contains(string(resp.Patch), "debugsidecar-video-probe"); got != has || !strings.Contains(strings.Join(resp.Warnings, " "), "did not answer in time") {
			t.Errorf("%s: a sidecar: %t; %q", mode, got, resp.Warnings)
		}
	}
}

func TestDebugContainersGetDigestsAndAreJudgedByThem(t *testing.T) {
	s := newShelf(t)
	good, bad := s.push(t, "team/debug:1", true), s.push(t, "listed/tool:1", false)
	d := s.deps(t, "enforce", "1")
	old := `{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"app"}],"ephemeralContainers":[{"name":"old","image":"` + s.host + `/team/debug:0"}]}}`
	for _, c := range []struct {
		image, pinned, denied string
	}{
		{s.host + "/team/debug:1", "@" + good, ""},
		{s.host + "/listed/tool:1", "@" + bad, "no signature by a trusted key"},
		{s.host + "/listed/tool@" + bad, "", "no signature by a trusted key"},
		{s.host + "/team/debug:none", "", "it has no digest"},
		{s.host + "/else/tool:1", "", ""},
		{"registry.example/foreign:1", "", ""},
	} {
		pod := strings.Replace(old, `"ephemeralContainers":[`, `"ephemeralContainers":[{"name":"new","image":"`+c.image+`"},`, 1)
		review := strings.Replace(head, `"operation":"CREATE"`, `"operation":"UPDATE","subResource":"ephemeralcontainers"`, 1) + `"oldObject":` + old + `,"object":`
		resp := answered(t, send(Mutate(d), http.MethodPost, review+pod+`}}`))
		if len(resp.Patch) > 0 {
			pod = apply(t, pod, resp.Patch)
		}
		if want := `"` + c.image + c.pinned + `"`; !strings.Contains(pod, want) || !strings.Contains(pod, `/team/debug:0"`) {
			t.Errorf("want %s in %s", want, pod)
		}
		judged := answered(t, send(Trust(d), http.MethodPost, review+pod+`}}`))
		if judged.Allowed != (c.denied == "") || !judged.Allowed && (!strings.Contains(judged.Result.Message, c.denied) || !strings.Contains(judged.Result.Message, `container "new": image `+c.image)) {
			t.Errorf("%s: got %+v, want %q", c.image, judged, c.denied)
		}
	}
}

func TestWhatStandsUnderOurNameIsJudgedByItsImage(t *testing.T) {
	s := newShelf(t)
	good, bad := s.push(t, "team/sidecar:1", true), s.push(t, "team/sidecar:2", false)
	pod := func(image string) string {
		return fmt.Sprintf(`{"metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"app"},{"name":"debugsidecar-x","image":%q}]}}`, image)
	}
	signed, unsigned := s.host+"/team/sidecar@"+good, s.host+"/team/sidecar@"+bad
	update := strings.Replace(head, `"CREATE"`, `"UPDATE"`, 1)
	for _, c := range []struct {
		name, review string
		allowed      bool
	}{
		{"signed", head + `"object":` + pod(signed) + `}}`, true},
		{"unsigned", head + `"object":` + pod(unsigned) + `}}`, false},
		{"a tag", head + `"object":` + pod(s.host+"/team/sidecar:1") + `}}`, false},
		{"a registry that is not listed", head + `"object":` + pod("registry.example/x@"+good) + `}}`, false},
		{"no name", head + `"object":` + pod("A b") + `}}`, false},
		{"changed to unsigned", update + `"oldObject":` + pod(signed) + `,"object":` + pod(unsigned) + `}}`, false},
		{"unsigned before", update + `"oldObject":` + pod(unsigned) + `,"object":` + pod(unsigned) + `}}`, true},
		{"being deleted", update + `"oldObject":` + pod(signed) + `,"object":` + strings.Replace(pod(unsigned), `"name":"p"`, `"name":"p","deletionTimestamp":"2026-11-26T12:00:00Z"`, 1) + `}}`, true},
	} {
		for _, mode := range []string{"enforce", "warn", "off"} {
			judged := answered(t, send(Trust(s.deps(t, mode, "1")), http.MethodPost, c.review))
			if judged.Allowed != (c.allowed || mode != "enforce") {
				t.Errorf("%s, %s: %+v", c.name, mode, judged)
			}
			if warned := len(judged.Warnings) > 0; warned != (mode == "warn" && !c.allowed) {
				t.Errorf("%s, %s: warnings %q", c.name, mode, judged.Warnings)
			}
		}
	}
}
