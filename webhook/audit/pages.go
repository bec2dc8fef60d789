package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// maxObject bounds one object. etcd takes 1.5 MiB; JSON is longer.
	maxObject = 8 << 20
	// renewals is how often a list goes on after its token expired without a page
	// in between.
	renewals = 3
)

// list is which objects are read.
type list struct {
	path     string
	fields   string
	labels   string
	metadata bool // alone
}

// each calls visit for each object of a list, in pages. What visit gets is valid
// until it returns.
//
// The lists carry no resourceVersion: with resourceVersion=0 an API server
// answers from its cache and, unless it is a recent one, ignores the limit; all
// pods of a cluster would be in one answer.
//
// A token that expired (410 Gone) comes with another one, that goes on after the
// last object with what there is now. That is good enough here: each pod that is
// there all the time is seen once. Without it errExpired is returned.
func (c *Client) each(ctx context.Context, l list, visit func(json.RawMessage) error) error {
	next, expired := "", 0
	for {
		after, err := c.page(ctx, l, next, visit)
		switch {
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			token := renewed(err)
			if expired++; token == "" || expired > renewals {
				return fmt.Errorf("%w: %w", errExpired, err)
			}
			next = token
			continue
		case err != nil:
			return err
		case after == "":
			return nil
		case after == next:
			return errors.New("the API server gave the same page again")
		}
		next, expired = after, 0
	}
}

var errExpired = errors.New("the list's token expired")

// renewed is the token that comes with a 410.
func renewed(err error) string {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return status.ErrStatus.Continue
	}
	return ""
}

// page reads one page as a stream, and returns the token of the one after it.
func (c *Client) page(ctx context.Context, l list, token string, visit func(json.RawMessage) error) (next string, err error) {
	r := c.rest.Get().AbsPath(l.path).Param("limit", strconv.Itoa(Page))
	for name, value := range map[string]string{"continue": token, "fieldSelector": l.fields, "labelSelector": l.labels} {
		if value != "" {
			r = r.Param(name, value)
		}
	}
	if l.metadata {
		r = r.SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	}
	body, err := r.Stream(ctx)
	if err != nil {
		return "", err
	}
	defer body.Close()
	if next, err = items(body, visit); err != nil {
		return "", fmt.Errorf("reading %s: %w", l.path, err)
	}
	return next, nil
}

// items calls visit for each of a list's items.
func items(body io.Reader, visit func(json.RawMessage) error) (next string, err error) {
	in := &bounded{in: body, left: maxObject}
	d := json.NewDecoder(in)
	if err := expect(d, json.Delim('{')); err != nil {
		return "", err
	}
	var object json.RawMessage // again and again the same memory
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", err
		}
		switch key {
		case "metadata":
			var meta struct {
				Continue string `json:"continue"`
			}
			if err := d.Decode(&meta); err != nil {
				return "", err
			}
			next = meta.Continue
		case "items":
			start, err := d.Token()
			if err != nil {
				return "", err
			}
			if start == nil {
				continue // null
			}
			if start != json.Delim('[') {
				return "", fmt.Errorf("items is %v, not a list", start)
			}
			for d.More() {
				in.left = maxObject
				if err := d.Decode(&object); err != nil {
					return "", err
				}
				if err := visit(object); err != nil {
					return "", err
				}
			}
			if err := expect(d, json.Delim(']')); err != nil {
				return "", err
			}
		default:
			if err := d.Decode(&object); err != nil {
				return "", err
			}
		}
	}
	return next, expect(d, json.Delim('}'))
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("got %v instead of %v", got, want)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// bounded fails where left bytes were read and nobody set it anew.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("an object has more than %d MiB", maxObject>>20)
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
