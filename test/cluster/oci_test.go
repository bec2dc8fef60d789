package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// writeOCI writes an archive of an OCI image layout, with one static program and
// an artifact that belongs to the image, as a bill of materials does
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
func writeOCI(t *testing.T, archive, name, program string) {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := pack(file{"app", 0o755, text})
	if err != nil {
		t.Fatal(err)
	}
	files := []file{{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	blob := func(kind string, content []byte, more map[string]any) map[string]any {
		sum := sha256.Sum256(content)
		hash := hex.EncodeToString(sum[:])
		files = append(files, file{"blobs/sha256/" + hash, 0o644, content})
		d := map[string]any{"mediaType": kind, "digest": "sha256:" + hash, "size": len(content)}
		for k, v := range more {
			d[k] = v
		}
		return d
	}
	jsonBlob := func(kind string, content any, more map[string]any) map[string]any {
		text, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		return blob(kind, text, more)
	}
	l := blob("application/vnd.oci.image.layer.v1.tar", layer, nil)
	config := jsonBlob("application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": runtime.GOARCH, "os": runtime.GOOS,
		"config": map[string]any{"Entrypoint": []string{"/app"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{l["digest"]}},
	}, nil)
	const manifestKind = "application/vnd.oci.image.manifest.v1+json"
	image := jsonBlob(manifestKind, map[string]any{"schemaVersion": 2, "mediaType": manifestKind, "config": config, "layers": []any{l}},
		map[string]any{
			"annotations": map[string]string{"org.opencontainers.image.ref.name": name},
			"platform":    map[string]string{"os": runtime.GOOS, "architecture": runtime.GOARCH},
		})
	empty := blob("application/vnd.oci.empty.v1+json", []byte("{}"), nil)
	bill := jsonBlob(manifestKind, map[string]any{
		"schemaVersion": 2, "mediaType": manifestKind, "artifactType": "application/spdx+json", "config": empty,
		"layers":  []any{blob("application/spdx+json", []byte(`{"spdxVersion":"SPDX-2.3"}`), nil)},
		"subject": map[string]any{"mediaType": manifestKind, "digest": image["digest"], "size": image["size"]},
	}, map[string]any{"artifactType": "application/spdx+json"})
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{image, bill}})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := pack(append(files, file{"index.json", 0o644, index})...)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}

func ociImage(t *testing.T, c *Cluster) {
	archive := filepath.Join(t.TempDir(), "oci.tar")
	const name = "registry.example/oci/app:2"
	writeOCI(t, archive, name, c.node.programs.pause)
	if err := c.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "", "run", "oci", "--image="+name, "--image-pull-policy=IfNotPresent")
	kubectl(t, c, "", "wait", "--for=condition=Ready", "pod/oci", "--timeout=60s")
}
