package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
)

func publicPEM(t *testing.T, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestBrokenSettingsAreRefusedWithTheWayOut(t *testing.T) {
	good := ecdsaSigner(t).pem
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	// 1024 bits; Go makes none any more.
	weak := rsa.PublicKey{N: p224.X, E: 65537}
	registries := []Registry{{Host: "registry.example"}}
	for _, c := range []struct {
		name string
		s    Settings
		want string
	}{
		{"mode", Settings{Mode: "on"}, `imageTrust.mode: "on" is none of off, warn, enforce`},
		{"no key", Settings{Mode: Enforce, Registries: registries}, "imageTrust.keys: name the public keys"},
		{"no registry", Settings{Mode: Warn, Keys: []string{good}}, "imageTrust.registries: name the registries"},
		{"private key", Settings{Mode: Enforce, Keys: []string{good, secret}, Registries: registries}, "imageTrust.keys[1]: this is a private key"},
		{"two in one", Settings{Mode: Enforce, Keys: []string{good + good}, Registries: registries}, "imageTrust.keys[0]: give each key an entry"},
		{"no PEM", Settings{Mode: Enforce, Keys: []string{"hello"}, Registries: registries}, "imageTrust.keys[0]: has to be a public key as PEM"},
		{"weak curve", Settings{Mode: Enforce, Keys: []string{publicPEM(t, &p224.PublicKey)}, Registries: registries}, "P-256, P-384 or P-521"},
		{"weak RSA", Settings{Mode: Enforce, Keys: []string{publicPEM(t, &weak)}, Registries: registries}, "2048 to 8192 bits"},
		{"pattern with a tag", Settings{Images: []string{"registry.example/a:1"}}, "imageTrust.images[0]"},
		{"pattern with a star inside", Settings{Images: []string{"registry.example/*/a"}}, "imageTrust.images[0]"},
		{"pattern of half a name", Settings{Images: []string{"registry.example/te*"}}, "behind a slash"},
		{"host with a path", Settings{Registries: []Registry{{Host: "registry.example/team"}}}, "imageTrust.registries[0]: host"},
		{"host with a scheme", Settings{Registries: []Registry{{Host: "https://registry.example"}}}, "imageTrust.registries[0]: host"},
		{"no host", Settings{Registries: []Registry{{}}}, "imageTrust.registries[0]: host"},
		{"hosts for all", Settings{Registries: []Registry{{Host: "registry.example", Hosts: []string{"*"}}}}, "imageTrust.registries[0]: hosts"},
		{"the same host", Settings{Registries: []Registry{{Host: "docker.io"}, {Host: "index.docker.io"}}}, "is there already"},
		{"no CA", Settings{Registries: []Registry{{Host: "registry.example", CA: "x"}}}, "imageTrust.registries[0]: ca"},
	} {
		if _, err := Compile(c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		} else if strings.Contains(err.Error(), "PRIVATE KEY-----") {
			t.Errorf("%s: the error shows a key", c.name)
		}
	}
	for _, off := range []Settings{{}, {Mode: Off}, {Mode: Off, Keys: []string{good}, Registries: registries}} {
		if p, err := Compile(off); p != nil || err != nil {
			t.Errorf("%+v: got %v, %v", off, p, err)
		}
	}
}

func TestOffNeedsNoQuotes(t *testing.T) {
	var s Settings
	if err := json.Unmarshal([]byte(`{"mode": false}`), &s); err != nil || s.Mode != Off {
		t.Errorf("got %v, %v", s.Mode, err)
	}
}

func TestPatternsNameWhatTheKubeletWouldPull(t *testing.T) {
	s := Settings{Mode: Enforce, Keys: []string{ecdsaSigner(t).pem}, Registries: []Registry{{Host: "docker.io"}}}
	for _, c := range []struct {
		pattern, image string
		want           bool
	}{
		{"*", "anything", true}, {"*", "No Name", true},
		{"busybox", "busybox:1", true}, {"busybox", "docker.io/library/busybox@sha256:" + strings.Repeat("a", 64), true},
		{"busybox", "registry.example/busybox", false}, {"busybox", "team/busybox", false},
		{"registry.example/team/*", "registry.example/team/a/b:1", true}, {"registry.example/team/*", "registry.example/teams/a", false},
		{"team/*", "index.docker.io/team/a", true}, {"registry.example:5000/a", "registry.example/a", false},
		{"registry.example/a", "registry.example/a:2", true}, {"registry.example/a", "registry.example/ab", false},
	} {
		s.Images = []string{c.pattern}
		p, err := Compile(s)
		must(t, err)
		if got := p.Names(c.image); got != c.want {
			t.Errorf("%s, %s: got %t", c.pattern, c.image, got)
		}
	}
}

func TestImagesThatCouldNeverBeVerifiedAreFoundAtLoad(t *testing.T) {
	p, err := Compile(Settings{Mode: Enforce, Keys: []string{ecdsaSigner(t).pem}, Registries: []Registry{{Host: "registry.example"}}})
	must(t, err)
	must(t, p.CheckImages(map[string]string{"images.sidecar": "registry.example/a:1", "images.debug": ""}))
	if err := p.CheckImages(map[string]string{"images.debug": "debugsidecar/debug:1"}); err == nil || !strings.Contains(err.Error(), "images.debug is at index.docker.io, which is not listed") {
		t.Errorf("got %v", err)
	}
	var off *Policy
	must(t, off.CheckImages(map[string]string{"images.debug": "debugsidecar/debug:1"}))
}
