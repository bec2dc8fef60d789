package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// key is a public key, with the ways in which cosign signs by it: classic
// signatures always hash by SHA-256, bundles by what the key's size asks for.
type key struct {
	id        string // the beginning of its SHA-256, as people may compute it
	verifiers []signature.Verifier
}

func parseKey(text string) (*key, error) {
	text = strings.TrimSpace(text)
	if strings.Contains(text, "PRIVATE KEY") {
		return nil, errors.New("this is a private key; it belongs nowhere but to who signs. Make another one, and give its public key")
	}
	if strings.Count(text, "-----BEGIN ") > 1 {
		return nil, errors.New("give each key an entry of its own")
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("has to be a public key as PEM, as `cosign public-key` prints it: %w", err)
	}
	if err := checkStrength(public); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	sum := sha256.Sum256(der)
	k := &key{id: hex.EncodeToString(sum[:8])}
	classic, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("using the key: %w", err)
	}
	k.verifiers = append(k.verifiers, classic)
	if sized, err := signature.LoadDefaultVerifier(public); err == nil {
		k.verifiers = append(k.verifiers, sized)
	}
	return k, nil
}

func checkStrength(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve) {
			return errors.New("an ECDSA key has to be on P-256, P-384 or P-521")
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 {
			return fmt.Errorf("an RSA key has to have 2048 to 8192 bits, this one has %d", bits)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("is a %T; signatures are made by ECDSA, RSA or Ed25519", public)
	}
	return nil
}

// verifies says whether the key made a signature of a message.
func (k *key) verifies(sig, message []byte) bool {
	return slices.ContainsFunc(k.verifiers, func(v signature.Verifier) bool {
		return v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil
	})
}

// signedBy returns the first key that try is content with, nil if it is none.
func signedBy(keys []*key, try func(*key) bool) *key {
	for _, k := range keys {
		if try(k) {
			return k
		}
	}
	return nil
}
