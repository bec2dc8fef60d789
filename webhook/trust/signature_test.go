package trust

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
)

func TestBothFormsOfSignaturesByAllKindsOfKeysCount(t *testing.T) {
	for _, withAPI := range []bool{true, false} { // without, referrers stand under a tag
		h := newHub(t, withAPI)
		for kind, s := range signers(t) {
			p, c := compile(t, h.settings(ecdsaSigner(t), s)), newChecker(t)
			t.Run(fmt.Sprintf("%s, referrers %t", kind, withAPI), func(t *testing.T) {
				classic := h.push(t, "team/classic:1")
				want(t, newChecker(t), p, classic.String(), Unsigned, "no signature by a trusted key")
				h.classic(t, s, classic, classic)
				want(t, c, p, classic.String(), Verified)

				stated := h.push(t, "team/stated:1")
				h.refer(t, stated, statement(t, s, signPredicate, stated.DigestStr()))
				want(t, c, p, stated.String(), Verified)

				message := h.push(t, "team/message:1")
				manifest, err := remote.Get(message, h.option())
				must(t, err)
				h.refer(t, message, messageBundle(s.sign(t, manifest.Manifest), manifest.Manifest))
				want(t, c, p, message.String(), Verified)
			})
		}
	}
}

func messageBundle(sig, message []byte) *bundlepb.Bundle {
	sum := sha256.Sum256(message)
	return &bundlepb.Bundle{Content: &bundlepb.Bundle_MessageSignature{MessageSignature: &commonpb.MessageSignature{
		MessageDigest: &commonpb.HashOutput{Algorithm: commonpb.HashAlgorithm_SHA2_256, Digest: sum[:]}, Signature: sig,
	}}}
}

func TestWhatIsNoSignatureOfThisImageDoesNotCount(t *testing.T) {
	h, s, other := newHub(t, true), ecdsaSigner(t), ecdsaSigner(t)
	p := compile(t, h.settings(s))
	another := h.push(t, "team/another:1")
	said := func(kind, digest string) map[string]any {
		return map[string]any{"critical": map[string]any{
			"type": kind, "identity": map[string]string{"docker-reference": h.host + "/team/x"}, "image": map[string]string{"docker-manifest-digest": digest},
		}}
	}
	cases := []struct {
		name, why string
		sign      func(t *testing.T, d name.Digest)
	}{
		{"none", "no signature", func(*testing.T, name.Digest) {}},
		{"another key, classic", "another key", func(t *testing.T, d name.Digest) { h.classic(t, other, d, d) }},
		{"another digest, classic", "of another digest", func(t *testing.T, d name.Digest) { h.classic(t, s, d, another) }},
		{"another type, classic", "no signature of an image", func(t *testing.T, d name.Digest) {
			h.classic(t, s, d, said("cosign attestation", d.DigestStr()))
		}},
		{"no claim, classic", "no signature of an image", func(t *testing.T, d name.Digest) { h.classic(t, s, d, map[string]string{}) }},
		{"text, classic", "can't be read", func(t *testing.T, d name.Digest) { h.classic(t, s, d, "hello") }},
		{"too large, classic", "too large", func(t *testing.T, d name.Digest) { h.classic(t, s, d, strings.Repeat("x", maxBlob+1)) }},
		{"another key, bundle", "another key", func(t *testing.T, d name.Digest) { h.refer(t, d, statement(t, other, signPredicate, d.DigestStr())) }},
		{"another digest, bundle", "of another digest", func(t *testing.T, d name.Digest) {
			h.refer(t, d, statement(t, s, signPredicate, another.DigestStr()))
		}},
		{"another statement, bundle", "another statement", func(t *testing.T, d name.Digest) {
			h.refer(t, d, statement(t, s, "https://slsa.dev/provenance/v1", d.DigestStr()))
		}},
		{"another payload type, bundle", "no statement", func(t *testing.T, d name.Digest) {
			b := statement(t, s, signPredicate, d.DigestStr())
			b.GetDsseEnvelope().PayloadType = "text/plain"
			h.refer(t, d, b)
		}},
		{"changed, bundle", "another key", func(t *testing.T, d name.Digest) {
			b := statement(t, s, signPredicate, another.DigestStr())
			b.GetDsseEnvelope().Payload = []byte(strings.Replace(string(b.GetDsseEnvelope().Payload), another.DigestStr()[7:], d.DigestStr()[7:], 1))
			h.refer(t, d, b)
		}},
		{"message of another image", "of another digest", func(t *testing.T, d name.Digest) {
			manifest, err := remote.Get(another, h.option())
			must(t, err)
			h.refer(t, d, messageBundle(s.sign(t, manifest.Manifest), manifest.Manifest))
		}},
		{"message of another image that claims ours", "another key", func(t *testing.T, d name.Digest) {
			theirs, err := remote.Get(another, h.option())
			must(t, err)
			ours, err := remote.Get(d, h.option())
			must(t, err)
			h.refer(t, d, messageBundle(s.sign(t, theirs.Manifest), ours.Manifest))
		}},
		{"empty bundle", "no signature", func(t *testing.T, d name.Digest) { h.refer(t, d, &bundlepb.Bundle{}) }},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := h.push(t, fmt.Sprintf("team/case%d:1", i))
			c.sign(t, d)
			want(t, newChecker(t), p, d.String(), Unsigned, c.why)
		})
	}
}

func TestOneGoodSignatureAmongBadOnesIsEnough(t *testing.T) {
	h, s, other := newHub(t, true), ecdsaSigner(t), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	another := h.push(t, "team/another:1")
	d := h.push(t, "team/mixed:1")
	h.classic(t, other, d, d)
	h.refer(t, d, statement(t, other, signPredicate, d.DigestStr()))
	h.refer(t, d, statement(t, s, signPredicate, another.DigestStr()))
	h.refer(t, d, statement(t, s, signPredicate, d.DigestStr()))
	want(t, c, p, d.String(), Verified)

	d = h.push(t, "team/second:1")
	h.classic(t, s, d, another, "text", d)
	want(t, c, p, d.String(), Verified)
	// Who may push beside an image can't have us read for ever.
	d = h.push(t, "team/many:1")
	var many []any
	for range maxSignatures {
		many = append(many, another)
	}
	h.classic(t, s, d, append(many, d)...)
	want(t, newChecker(t), p, d.String(), Unsigned, "only the first 16")
}

func TestAnIndexIsSignedAsAWhole(t *testing.T) {
	h, s := newHub(t, true), ecdsaSigner(t)
	p, c := compile(t, h.settings(s)), newChecker(t)
	index, err := random.Index(64, 1, 2)
	must(t, err)
	tag := h.tag(t, "team/multi:1")
	must(t, remote.WriteIndex(tag, index, h.option()))
	digest, err := index.Digest()
	must(t, err)
	h.classic(t, s, tag.Digest(digest.String()), tag.Digest(digest.String()))

	pinned, f := c.Resolve(t.Context(), p, tag.String(), Tenant)
	wantOf(t, f, Verified)
	if want := tag.String() + "@" + digest.String(); pinned != want {
		t.Fatalf("got %s, want the index: %s", pinned, want)
	}
	want(t, c, p, pinned, Verified)
	manifest, err := index.IndexManifest()
	must(t, err)
	want(t, c, p, tag.Context().Digest(manifest.Manifests[0].Digest.String()).String(), Unsigned)
}
