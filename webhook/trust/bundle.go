package trust

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dssepb "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	bundlePrefix = "application/vnd.dev.sigstore.bundle"
	inTotoType   = "application/vnd.in-toto+json"
	// signPredicate is what cosign states when it signs. The same key may state
	// other things of an image, such as what a scan found; that is no signature.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
	// maxEnvelopeSignatures is how many one statement may have.
	maxEnvelopeSignatures = 4
)

// bundles looks for a signature among what refers to the digest.
func (f *flight) bundles(keys []*key, digest string) (*key, error) {
	referrers, err := f.referrers(digest)
	if err != nil {
		return nil, err
	}
	referrers = slices.DeleteFunc(referrers, func(d v1.Descriptor) bool { return !mayBeBundle(&d) })
	for i := range referrers {
		if i == maxSignatures {
			f.reject(fmt.Sprintf("only the first %d of its %d bundles were tried", maxSignatures, len(referrers)))
			break
		}
		if by, err := f.bundle(keys, digest, referrers[i].Digest.String()); err != nil || by != nil {
			return by, err
		}
	}
	return nil, nil
}

// mayBeBundle leaves out what says that it is something else, such as an SBOM.
// Some registries don't say.
func mayBeBundle(d *v1.Descriptor) bool {
	return d.ArtifactType == "" || strings.HasPrefix(d.ArtifactType, bundlePrefix) ||
		d.ArtifactType == "application/vnd.oci.empty.v1+json"
}

// bundle tries the bundle in the manifest of that digest.
func (f *flight) bundle(keys []*key, digest, at string) (*key, error) {
	manifest, err := f.manifest(at)
	if manifest == nil || err != nil {
		return nil, err
	}
	var referrer v1.Manifest
	if json.Unmarshal(manifest, &referrer) != nil || len(referrer.Layers) != 1 ||
		!strings.HasPrefix(string(referrer.Layers[0].MediaType), bundlePrefix) {
		return nil, nil
	}
	text, err := f.blob(&referrer.Layers[0])
	if err != nil || text == nil {
		return nil, err
	}
	var b bundlepb.Bundle
	if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &b) != nil {
		f.reject("a bundle can't be read")
		return nil, nil
	}
	switch content := b.GetContent().(type) {
	case *bundlepb.Bundle_DsseEnvelope:
		return f.envelope(keys, digest, content.DsseEnvelope), nil
	case *bundlepb.Bundle_MessageSignature:
		return f.message(keys, digest, content.MessageSignature)
	default:
		f.reject("a bundle has no signature")
	}
	return nil, nil
}

// envelope judges a statement about the image.
func (f *flight) envelope(keys []*key, digest string, e *dssepb.Envelope) *key {
	if e.GetPayloadType() != inTotoType || len(e.GetSignatures()) > maxEnvelopeSignatures {
		f.reject("a bundle holds no statement about an image")
		return nil
	}
	message := dsse.PAE(e.GetPayloadType(), e.GetPayload())
	by := signedBy(keys, func(k *key) bool {
		return slices.ContainsFunc(e.GetSignatures(), func(s *dssepb.Signature) bool { return k.verifies(s.GetSig(), message) })
	})
	if by == nil {
		f.reject("it is signed by another key")
		return nil
	}
	var statement struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	switch err := json.Unmarshal(e.GetPayload(), &statement); {
	case err != nil || !strings.HasPrefix(statement.Type, "https://in-toto.io/Statement/v"):
		f.reject("what is signed can't be read")
	case statement.PredicateType != signPredicate:
		f.reject("what is signed is another statement, no signature of an image")
	default:
		for _, s := range statement.Subject {
			if "sha256:"+s.Digest["sha256"] == digest {
				return by
			}
		}
		f.reject("the signature is of another digest")
	}
	return nil
}

// message judges a signature over the image's manifest itself.
func (f *flight) message(keys []*key, digest string, m *commonpb.MessageSignature) (*key, error) {
	if d := m.GetMessageDigest(); d != nil && d.GetAlgorithm() == commonpb.HashAlgorithm_SHA2_256 &&
		fmt.Sprintf("sha256:%x", d.GetDigest()) != digest {
		f.reject("the signature is of another digest")
		return nil, nil
	}
	manifest, err := f.manifest(digest)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(manifest); manifest == nil || fmt.Sprintf("sha256:%x", sum) != digest {
		f.reject("the image's manifest is gone")
		return nil, nil
	}
	by := signedBy(keys, func(k *key) bool { return k.verifies(m.GetSignature(), manifest) })
	if by == nil {
		f.reject("it is signed by another key")
	}
	return by, nil
}
