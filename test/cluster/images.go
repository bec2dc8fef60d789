package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// pauseImage is the image of each pod's first container.
const pauseImage = "debugsidecar.local/pause:1"

// LoadImage gives the node the images in an archive: an OCI layout, or what
// `docker save` writes, as a tar file. Pods use them by the names in the archive,
// with the pull policy IfNotPresent or Never.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	if c.node == nil {
		return errors.New("loading an image: the cluster has no node (Options.Node)")
	}
	_, err := c.ctr(ctx, "images", "import", "--all-platforms", archive)
	if err != nil {
		return fmt.Errorf("loading the images of %s: %w", archive, err)
	}
	return nil
}

// ctr runs containerd's client.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.node.programs.path("usr/bin/ctr"), append([]string{"--address", c.node.socket(), "--namespace", "k8s.io"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// loadPause loads the image that each pod takes, once containerd listens.
func (c *Cluster) loadPause(ctx context.Context) error {
	archive := c.nodeFile("pause.tar")
	if err := writeImage(archive, pauseImage, c.node.programs.pause); err != nil {
		return fmt.Errorf("making the image %s: %w", pauseImage, err)
	}
	return c.poll(ctx, "containerd", func(ctx context.Context) error {
		// A client that came while containerd began may wait for good.
		ctx, cancel := context.WithTimeout(ctx, patience/6)
		defer cancel()
		return c.LoadImage(ctx, archive)
	})
}

// writeImage writes an archive with an image that consists of one static program,
// as `docker save` would
// (https://github.com/moby/docker-image-spec/blob/main/v1.2.md).
func writeImage(archive, name, program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	entry := "/" + filepath.Base(program)
	layer, err := pack(file{entry[1:], 0o755, text})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           runtime.GOOS,
		"config":       map[string]any{"Entrypoint": []string{entry}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	whole, err := pack(file{"manifest.json", 0o644, manifest}, file{"config.json", 0o644, config}, file{"layer.tar", 0o644, layer})
	if err != nil {
		return err
	}
	return os.WriteFile(archive, whole, 0o600)
}

type file struct {
	name string
	mode int64
	text []byte
}

func pack(files ...file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.text); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
