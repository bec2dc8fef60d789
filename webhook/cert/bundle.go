package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// overlap is how long a replaced CA stays trusted: ample time for each replica
// to serve with a certificate of the new one.
const overlap = time.Hour

// trusted is the CAs that API servers are to trust, the newest first.
type trusted []*x509.Certificate

// parseBundle reads the certificates of a PEM text and skips what is none.
func parseBundle(data []byte) trusted {
	var t trusted
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return t
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" && c.IsCA {
			t = append(t, c)
		}
	}
}

// encode writes the bundle as PEM.
func (t trusted) encode() []byte {
	var b bytes.Buffer
	for _, c := range t {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) //nolint:errcheck // a buffer does not fail
	}
	return b.Bytes()
}

// merge adds others and leaves out, as of now, what expired, and what was
// replaced longer than overlap ago: a CA is replaced when its successor begins.
// The current CA always stays.
func (t trusted) merge(current *x509.Certificate, now time.Time, others ...*x509.Certificate) trusted {
	all := append(trusted{current}, t...)
	all = append(all, others...)
	slices.SortStableFunc(all, func(a, b *x509.Certificate) int {
		if c := b.NotBefore.Compare(a.NotBefore); c != 0 {
			return c
		}
		return bytes.Compare(a.Raw, b.Raw)
	})
	all = slices.CompactFunc(all, (*x509.Certificate).Equal)
	var out trusted
	for i, c := range all {
		replaced := i > 0 && now.After(all[i-1].NotBefore.Add(overlap))
		if c.Equal(current) || now.Before(c.NotAfter) && !replaced {
			out = append(out, c)
		}
	}
	return out
}

func (t trusted) equal(other trusted) bool {
	return slices.EqualFunc(t, other, (*x509.Certificate).Equal)
}
