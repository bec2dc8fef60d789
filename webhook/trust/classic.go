package trust

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

const (
	// signatureAnnotation holds the signature of a classic payload.
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	// maxSignatures is how many of an image are tried, of each form: who may push
	// beside the image could add any number.
	maxSignatures = 16
	// maxSignature is how long one may be, encoded.
	maxSignature = 8 << 10
)

// classic looks for a signature under cosign's tag for the digest.
func (f *flight) classic(keys []*key, digest string) (*key, error) {
	manifest, err := f.manifest(strings.Replace(digest, ":", "-", 1) + ".sig")
	if manifest == nil || err != nil {
		return nil, err
	}
	var image v1.Manifest
	if err := json.Unmarshal(manifest, &image); err != nil {
		f.reject("the manifest with its signatures can't be read")
		return nil, nil
	}
	for i := range image.Layers {
		if i == maxSignatures {
			f.reject(fmt.Sprintf("only the first %d of its %d signatures were tried", maxSignatures, len(image.Layers)))
			break
		}
		if by, err := f.classicLayer(keys, digest, &image.Layers[i]); err != nil || by != nil {
			return by, err
		}
	}
	return nil, nil
}

func (f *flight) classicLayer(keys []*key, digest string, layer *v1.Descriptor) (*key, error) {
	encoded := layer.Annotations[signatureAnnotation]
	if encoded == "" || len(encoded) > maxSignature {
		return nil, nil // not a signature of cosign's
	}
	sig, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		f.reject("a signature is no base64")
		return nil, nil
	}
	text, err := f.blob(layer)
	if err != nil || text == nil {
		return nil, err
	}
	by := signedBy(keys, func(k *key) bool { return k.verifies(sig, text) })
	if by == nil {
		f.reject("it is signed by another key")
		return nil, nil
	}
	// Only now what it says means something.
	var said payload.SimpleContainerImage
	switch err := json.Unmarshal(text, &said); {
	case err != nil:
		f.reject("what is signed can't be read")
	case said.Critical.Type != payload.CosignSignatureType:
		f.reject("what is signed is no signature of an image")
	case said.Critical.Image.DockerManifestDigest != digest:
		f.reject("the signature is of another digest")
	default:
		return by, nil
	}
	return nil, nil
}
