package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	bundlepb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// What cosign 3.1.3 pushed for go-containerregistry's empty image, in both forms:
// `cosign sign --key cosign.key --tlog-upload=false --use-signing-config=false`,
// once more with --new-bundle-format=false.
func TestWhatCosignPushesCounts(t *testing.T) {
	file := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", "cosign-3.1.3", name))
		must(t, err)
		return data
	}
	h := newHub(t, true)
	settings := h.settings()
	settings.Keys = []string{string(file("cosign.pub"))}
	p := compile(t, settings)
	tag := h.tag(t, "team/empty:1")
	must(t, remote.Write(tag, empty.Image, h.option()))
	hash, err := empty.Image.Digest()
	must(t, err)
	digest := tag.Digest(hash.String())
	want(t, newChecker(t), p, digest.String(), Unsigned)

	image, err := mutate.Append(empty.Image, mutate.Addendum{
		Layer:       static.NewLayer(file("payload.json"), "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{signatureAnnotation: strings.TrimSpace(string(file("payload.sig")))},
	})
	must(t, err)
	classic := tag.Context().Tag(strings.Replace(hash.String(), ":", "-", 1) + ".sig")
	must(t, remote.Write(classic, image, h.option()))
	want(t, newChecker(t), p, digest.String(), Verified)

	must(t, remote.Delete(classic, h.option()))
	want(t, newChecker(t), p, digest.String(), Unsigned)
	b := &bundlepb.Bundle{}
	must(t, protojson.Unmarshal(file("bundle.json"), b))
	h.refer(t, digest, b)
	want(t, newChecker(t), p, digest.String(), Verified)
}
