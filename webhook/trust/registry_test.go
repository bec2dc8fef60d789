package trust

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/prometheus/client_golang/prometheus"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hub is a registry, with TLS, and what it was asked.
type hub struct {
	*httptest.Server
	host, ca string
	asked    atomic.Int64
	// before may answer in the registry's place.
	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

func newHub(t *testing.T, referrers bool) *hub {
	t.Helper()
	h := &hub{}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(referrers))
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") != "test" {
			h.asked.Add(1)
			if answer := h.before.Load(); answer != nil && (*answer)(w, r) {
				return
			}
		}
		inner.ServeHTTP(w, r)
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	h.host = strings.TrimPrefix(h.URL, "https://")
	h.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
	return h
}

// instead has the registry answer otherwise.
func (h *hub) instead(answer func(w http.ResponseWriter, r *http.Request) bool) {
	if answer == nil {
		h.before.Store(nil)
		return
	}
	h.before.Store(&answer)
}

// asTest marks the test's own requests.
type asTest struct{ inner http.RoundTripper }

func (a asTest) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "test")
	return a.inner.RoundTrip(r)
}

func (h *hub) option() remote.Option { return remote.WithTransport(asTest{h.Client().Transport}) }

func (h *hub) tag(t *testing.T, text string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(h.host + "/" + text)
	must(t, err)
	return tag
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// push makes an image and returns its digest.
func (h *hub) push(t *testing.T, text string) name.Digest {
	t.Helper()
	image, err := random.Image(64, 1)
	must(t, err)
	tag := h.tag(t, text)
	must(t, remote.Write(tag, image, h.option()))
	digest, err := image.Digest()
	must(t, err)
	return tag.Digest(digest.String())
}

// signer is a private key, and how cosign signs by it.
type signer struct {
	signature.SignerVerifier
	pem string
}

func newSigner(t *testing.T, private crypto.PrivateKey, hash crypto.Hash) *signer {
	t.Helper()
	s, err := signature.LoadSignerVerifier(private, hash)
	must(t, err)
	public, err := s.PublicKey()
	must(t, err)
	text, err := cryptoutils.MarshalPublicKeyToPEM(public)
	must(t, err)
	return &signer{s, string(text)}
}

func ecdsaSigner(t *testing.T) *signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return newSigner(t, k, crypto.SHA256)
}

func (s *signer) sign(t *testing.T, message []byte) []byte {
	t.Helper()
	sig, err := s.SignMessage(bytes.NewReader(message))
	must(t, err)
	return sig
}

// classic pushes signatures in cosign's form for the digest at, of what is said.
func (h *hub) classic(t *testing.T, s *signer, at name.Digest, said ...any) {
	t.Helper()
	image := v1.Image(empty.Image)
	for _, what := range said {
		var text []byte
		if digest, ok := what.(name.Digest); ok {
			var err error
			text, err = payload.Cosign{Image: digest}.MarshalJSON()
			must(t, err)
		} else {
			var err error
			text, err = json.Marshal(what)
			must(t, err)
		}
		var err error
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:       static.NewLayer(text, "application/vnd.dev.cosign.simplesigning.v1+json"),
			Annotations: map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(s.sign(t, text))},
		})
		must(t, err)
	}
	tag := at.Context().Tag(strings.Replace(at.DigestStr(), ":", "-", 1) + ".sig")
	must(t, remote.Write(tag, image, h.option()))
}

// refer pushes a bundle that refers to the digest.
func (h *hub) refer(t *testing.T, at name.Digest, b *bundlepb.Bundle) {
	t.Helper()
	b.MediaType = bundlePrefix + ".v0.3+json"
	b.VerificationMaterial = &bundlepb.VerificationMaterial{Content: &bundlepb.VerificationMaterial_PublicKey{PublicKey: &commonpb.PublicKeyIdentifier{Hint: "key"}}}
	text, err := protojson.Marshal(b)
	must(t, err)
	subject, err := remote.Head(at, h.option())
	must(t, err)
	image, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.oci.empty.v1+json"),
		mutate.Addendum{Layer: static.NewLayer(text, types.MediaType(b.MediaType))})
	must(t, err)
	image = mutate.Subject(image, *subject).(v1.Image)
	digest, err := image.Digest()
	must(t, err)
	must(t, remote.Write(at.Context().Digest(digest.String()), image, h.option()))
}

// statement is a bundle with a statement of s.
func statement(t *testing.T, s *signer, predicate, digest string) *bundlepb.Bundle {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "predicate": map[string]any{},
		"subject": []any{map[string]any{"digest": map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}}},
	})
	must(t, err)
	envelope, err := dsse.WrapSigner(s, inTotoType).SignMessage(bytes.NewReader(text))
	must(t, err)
	b := &bundlepb.Bundle{}
	must(t, protojson.Unmarshal([]byte(`{"dsseEnvelope":`+string(envelope)+`}`), b))
	return b
}

func (h *hub) settings(keys ...*signer) Settings {
	s := Settings{Mode: Enforce, Registries: []Registry{{Host: h.host, CA: h.ca}}}
	for _, k := range keys {
		s.Keys = append(s.Keys, k.pem)
	}
	return s
}

func compile(t *testing.T, s Settings) *Policy {
	t.Helper()
	p, err := Compile(s)
	must(t, err)
	t.Cleanup(func() {
		for _, r := range p.registries {
			r.transport.CloseIdleConnections()
		}
	})
	return p
}

func newChecker(t *testing.T) *Checker {
	t.Helper()
	c := New("", prometheus.NewRegistry(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(c.Close)
	return c
}

// want verifies an image and compares what comes of it.
func want(t *testing.T, c *Checker, p *Policy, image string, result Result, parts ...string) {
	t.Helper()
	wantOf(t, c.Verify(t.Context(), p, image, Tenant), result, parts...)
}

func wantOf(t *testing.T, f *Failure, result Result, parts ...string) {
	t.Helper()
	if resultOf(f) != result {
		t.Fatalf("got %s (%v), want %s", resultOf(f), f, result)
	}
	for _, part := range parts {
		if !strings.Contains(f.Error(), part) {
			t.Errorf("got %v, want it to say %q", f, part)
		}
	}
}

// signers are the kinds of keys that there are.
func signers(t *testing.T) map[string]*signer {
	t.Helper()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return map[string]*signer{
		"ECDSA P-256":               ecdsaSigner(t),
		"ECDSA P-384, hash SHA-256": newSigner(t, p384, crypto.SHA256),
		"ECDSA P-384, hash SHA-384": newSigner(t, p384, crypto.SHA384),
		"Ed25519":                   newSigner(t, ed, crypto.SHA512),
		"RSA":                       newSigner(t, big, crypto.SHA256),
	}
}

// background outlives a test's context, for what is asked after its end.
func background() context.Context { return context.Background() }
