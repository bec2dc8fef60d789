package e2e

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
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
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// store is a registry of images, and a key that signs them.
type store struct {
	*httptest.Server
	host   string
	signer signature.SignerVerifier
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{Server: httptest.NewTLSServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))}
	t.Cleanup(s.Close)
	s.host = strings.TrimPrefix(s.URL, "https://")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err == nil {
		s.signer, err = signature.LoadSignerVerifier(key, crypto.SHA256)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *store) push(t *testing.T, text string) name.Digest {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(s.host + "/" + text)
	if err == nil {
		err = remote.Write(tag, image, remote.WithTransport(s.Client().Transport))
	}
	digest, digestErr := image.Digest()
	if err := errors.Join(err, digestErr); err != nil {
		t.Fatal(err)
	}
	return tag.Digest(digest.String())
}

func (s *store) sign(t *testing.T, d name.Digest) {
	t.Helper()
	text, err := payload.Cosign{Image: d}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.signer.SignMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:       static.NewLayer(text, "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig)},
	})
	if err == nil {
		err = remote.Write(d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1)+".sig"), image, remote.WithTransport(s.Client().Transport))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// values of the chart that require signatures.
func (s *store) values(t *testing.T, sidecar, debug string) string {
	t.Helper()
	public, err := s.signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := cryptoutils.MarshalPublicKeyToPEM(public)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(map[string]any{ // which is YAML
		"mode": "enforce", "keys": []string{string(key)},
		"registries": []any{map[string]any{"host": s.host, "ca": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("\nimages: {sidecar: %q, debug: %q}\nimageTrust: %s\n", s.host+"/"+sidecar, s.host+"/"+debug, settings)
}

func debugWith(t *testing.T, ns string, pod *corev1.Pod, container, image string) (*corev1.Pod, error) {
	t.Helper()
	with, err := env.client.CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	with.Spec.EphemeralContainers = append(with.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: container, Image: image},
	})
	return env.client.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), pod.Name, with, metav1.UpdateOptions{})
}

func TestImagesHaveToBeSigned(t *testing.T) {
	ns := namespace(t, nil)
	t.Cleanup(func() { upgradeBack() })
	s := newStore(t)
	signed, unsigned := s.push(t, "team/probe:1"), s.push(t, "team/probe:2")
	s.sign(t, signed)
	tools := s.push(t, "team/tools:1")

	upgrade(t, s.values(t, "team/probe:1", "team/tools:1"))
	pinned := s.host + "/team/probe:1@" + signed.DigestStr()
	everywhere(t, "the sidecar has a digest", func() error {
		pod, err := dryRun(t.Context(), ns, labelled("ingest"))
		if err != nil {
			return err
		}
		if sidecars(pod) != 1 || pod.Spec.InitContainers[0].Image != pinned {
			return fmt.Errorf("it is not %s: %v", pinned, pod.Spec.InitContainers)
		}
		return nil
	})
	pod := create(t, ns, labelled("ingest"))
	mustHaveSidecar(t, pod)
	again, err := dryRun(t.Context(), ns, restored(pod, "restored"))
	if err != nil || sidecars(again) != 1 || again.Spec.InitContainers[0].Image != pinned {
		t.Errorf("a restored pod: %v, %v", err, again.Spec.InitContainers)
	}

	// By its name the container is ours, whatever mutated it after us.
	changed := pod.DeepCopy()
	changed.Spec.InitContainers[0].Image = unsigned.String()
	_, err = env.client.CoreV1().Pods(ns).Update(t.Context(), changed, metav1.UpdateOptions{})
	if err == nil {
		t.Error("an unsigned image took the sidecar's place")
	} else {
		mustMention(t, err.Error(), "images have to be signed here", unsigned.String(), "no signature by a trusted key", "to pass: sign it")
	}
	// Nothing else is kept from being changed.
	changed = pod.DeepCopy()
	changed.Labels["color"] = "blue"
	if _, err := env.client.CoreV1().Pods(ns).Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}

	_, err = debugWith(t, ns, pod, "unsigned", s.host+"/team/tools:1")
	if err == nil {
		t.Error("an unsigned debug container was let in")
	} else {
		mustMention(t, err.Error(), `container "unsigned"`, "/team/tools:1@"+tools.DigestStr(), "to pass: sign it")
	}
	s.sign(t, tools)
	eventually(t, "once it is signed, it is let in", func() error {
		out, err := debugWith(t, ns, pod, "signed", s.host+"/team/tools:1")
		if err == nil && out.Spec.EphemeralContainers[0].Image != s.host+"/team/tools:1@"+tools.DigestStr() {
			t.Errorf("it has no digest: %s", out.Spec.EphemeralContainers[0].Image)
		}
		return err
	})
	// What is nobody's business stays so.
	if _, err := debugWith(t, ns, pod, "foreign", "registry.example/foreign:1"); err != nil {
		t.Error(err)
	}

	upgrade(t, s.values(t, "team/probe:2", "team/tools:1"))
	noSidecar := func() error {
		env.warnings.take()
		pod, err := dryRun(t.Context(), ns, labelled("ingest2"))
		if err == nil && sidecars(pod) != 0 {
			err = errors.New("it has a sidecar still")
		}
		return err
	}
	everywhere(t, "an unsigned sidecar is none", noSidecar)
	mustMention(t, env.warnings.take(), "no sidecar: image "+s.host+"/team/probe:2@"+unsigned.DigestStr(), "no signature by a trusted key")

	s.CloseClientConnections()
	s.Close()
	upgrade(t, s.values(t, "team/probe:3", "team/tools:1"))
	everywhere(t, "a registry that is away costs the sidecar and no pod", noSidecar)
	start := time.Now()
	create(t, ns, labelled("ingest3"))
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a pod waited %s for a registry that is away", took)
	}
}
