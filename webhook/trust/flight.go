package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxBlob is how large what is signed may be; cosign's own payloads have some
// hundred bytes, bundles some thousand.
const maxBlob = 128 << 10

// flight is one question about an image to its registry.
type flight struct {
	ctx    context.Context
	puller *remote.Puller
	repo   name.Repository
	// notes are what was found and is no good. It is not the registry that failed.
	notes []string
}

// connect asks the registry how it wants to be asked, and for a token if it does.
func connect(ctx context.Context, r *registry, ref image, credentialsFile string) (*flight, error) {
	repo, err := ref.remote(r)
	if err != nil {
		return nil, err
	}
	auth, err := credentials(credentialsFile, r.host, repo.RepositoryStr())
	if err != nil {
		return nil, err
	}
	scopes := []string{repo.Scope(transport.PullScope)}
	wrapped, err := transport.NewWithContext(ctx, repo.Registry, auth, &guard{registry: r}, scopes)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	puller, err := remote.NewPuller(remote.WithTransport(wrapped))
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return &flight{ctx: ctx, puller: puller, repo: repo}, nil
}

func (f *flight) reject(why string) {
	if len(f.notes) < 2*maxSignatures {
		f.notes = append(f.notes, why)
	}
}

// resolve returns the digest that a tag has now, empty if there is no such tag.
func (f *flight) resolve(tag string) (string, error) {
	ref := f.repo.Tag(tag)
	if head, err := f.puller.Head(f.ctx, ref); err == nil && head.Digest.Algorithm == "sha256" {
		return head.Digest.String(), nil
	} else if isMissing(err) {
		return "", nil
	}
	// Some registries leave out what it takes, or don't know the method.
	got, err := f.puller.Get(f.ctx, ref)
	switch {
	case isMissing(err):
		return "", nil
	case err != nil:
		return "", err
	}
	return got.Digest.String(), nil
}

// manifest returns the manifest of a tag or digest; nil if there is none, or none
// that is any good.
func (f *flight) manifest(identifier string) ([]byte, error) {
	var ref name.Reference = f.repo.Tag(identifier)
	if strings.HasPrefix(identifier, "sha256:") {
		ref = f.repo.Digest(identifier)
	}
	got, err := f.puller.Get(f.ctx, ref)
	if err != nil {
		return nil, f.survive(err)
	}
	return got.Manifest, nil
}

// blob returns what a descriptor describes; nil likewise.
func (f *flight) blob(d *v1.Descriptor) ([]byte, error) {
	if d.Size > maxBlob || d.Digest.Algorithm != "sha256" {
		f.reject("what is signed is too large")
		return nil, nil
	}
	layer, err := f.puller.Layer(f.ctx, f.repo.Digest(d.Digest.String()))
	if err != nil {
		return nil, f.survive(err)
	}
	body, err := layer.Compressed()
	if err != nil {
		return nil, f.survive(err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxBlob+1)) // the reader compares the digest
	switch {
	case err != nil:
		return nil, f.survive(err)
	case len(data) > maxBlob:
		f.reject("what is signed is too large")
		return nil, nil
	}
	return data, nil
}

// referrers lists what refers to a digest.
func (f *flight) referrers(digest string) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(f.repo.Digest(digest), remote.Reuse(f.puller), remote.WithContext(f.ctx))
	if err != nil {
		return nil, f.survive(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, f.survive(err)
	}
	return manifest.Manifests, nil
}

// survive tells what somebody pushed beside the image, which is noted, from a
// registry that does not do its work, which is an error.
func (f *flight) survive(err error) error {
	var network net.Error
	var asked *url.Error
	var answered *transport.Error
	switch {
	case isMissing(err):
		return nil
	case f.ctx.Err() != nil, errors.Is(err, errForbidden), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.As(err, &network), errors.As(err, &asked), errors.As(err, &answered):
		return err
	}
	if errors.Is(err, errTooMuch) {
		f.reject("what stands beside the image is too large")
	} else {
		f.reject("what stands beside the image can't be read")
	}
	return nil
}

func isMissing(err error) bool {
	var answered *transport.Error
	return errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound
}

// explain says in a few words why a registry was of no use. What it answered may
// be for others' eyes, and stays out.
func explain(ctx context.Context, err error) string {
	var answered *transport.Error
	switch {
	case errors.Is(err, errForbidden):
		return "the registry sends us on to where nobody may be asked"
	case errors.As(err, &answered) && (answered.StatusCode == http.StatusUnauthorized || answered.StatusCode == http.StatusForbidden):
		return "the registry lets nobody read it, or not with the credentials that the webhook has"
	case errors.As(err, &answered):
		return fmt.Sprintf("the registry answers with status %d", answered.StatusCode)
	case errors.Is(err, errCredentials):
		return errCredentials.Error()
	case ctx.Err() != nil:
		return "the registry did not answer in time"
	}
	return "the registry can't be reached, or its answers can't be read"
}
