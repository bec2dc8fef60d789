package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"pgregory.net/rapid"
)

func mustCA(t testing.TB, at time.Time, lifetime time.Duration) *ca {
	t.Helper()
	c, err := newCA(at, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func leafTemplate(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{PublicKey: key.Public(), DNSNames: []string{"webhook.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
}

func TestACASurvivesItsSecret(t *testing.T) {
	c := mustCA(t, time.Now(), time.Hour)
	data, err := c.data()
	if err != nil {
		t.Fatal(err)
	}
	read := readCA(data)
	if read == nil || !read.certificate.Equal(c.certificate) {
		t.Fatal("it was not read back")
	}
	for _, key := range []string{"tls.crt", "tls.key"} {
		damaged := map[string][]byte{"tls.crt": data["tls.crt"], "tls.key": data["tls.key"]}
		damaged[key] = damaged[key][:len(damaged[key])/2]
		if readCA(damaged) != nil {
			t.Errorf("half of %s is taken for a CA", key)
		}
	}
	other, err := mustCA(t, time.Now(), time.Hour).data()
	if err != nil {
		t.Fatal(err)
	}
	if readCA(map[string][]byte{"tls.crt": data["tls.crt"], "tls.key": other["tls.key"]}) != nil {
		t.Error("another CA's key is accepted")
	}
}

func TestANewCASignsOnlyWhenAPIServersHadTheTimeToTrustIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &signer{now: time.Now, lifetime: time.Hour, propagation: 5 * time.Second}
		rotations := make(chan struct{}, 1)
		s.WatchRotation(rotations)
		defer s.StopWatchingRotation(rotations)
		if _, err := s.Sign(leafTemplate(t)); !errors.Is(err, authority.ErrCertificateNotAvailable) {
			t.Fatalf("it signs without a CA: %v", err)
		}
		first := mustCA(t, time.Now(), 24*time.Hour)
		s.use(first)
		<-rotations
		leaf, err := s.Sign(leafTemplate(t))
		if err != nil {
			t.Fatalf("the first certificate has to wait: %v", err)
		}
		verify(t, leaf, first)

		second := mustCA(t, time.Now(), 24*time.Hour)
		s.use(second)
		<-rotations
		for range 4 {
			if _, err := s.Sign(leafTemplate(t)); !errors.Is(err, authority.ErrCertificateNotAvailable) {
				t.Fatalf("it signs too early: %v", err)
			}
			time.Sleep(time.Second)
			s.use(second) // a later reconciliation does not start the time anew
		}
		time.Sleep(time.Second)
		if leaf, err = s.Sign(leafTemplate(t)); err != nil {
			t.Fatalf("it does not sign in the end: %v", err)
		}
		verify(t, leaf, second)
	})
}

func verify(t *testing.T, leaf *x509.Certificate, c *ca) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(c.certificate)
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "webhook.example", Roots: roots, CurrentTime: time.Now()}); err != nil {
		t.Error(err)
	}
}

func TestACertificateNeverOutlivesItsCA(t *testing.T) {
	s := &signer{now: time.Now, lifetime: time.Hour}
	c := mustCA(t, time.Now(), time.Minute)
	s.use(c)
	leaf, err := s.Sign(leafTemplate(t))
	if err != nil {
		t.Fatal(err)
	}
	if leaf.NotAfter.After(c.certificate.NotAfter) {
		t.Errorf("it is valid until %v, its CA until %v", leaf.NotAfter, c.certificate.NotAfter)
	}
}

func TestWhatIsTrusted(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	first := mustCA(t, start, 24*time.Hour)
	second := mustCA(t, start.Add(10*time.Hour), 24*time.Hour)
	expired := mustCA(t, start.Add(-time.Hour), time.Minute)
	for name, c := range map[string]struct {
		known   trusted
		current *ca
		at      time.Duration
		want    []*ca
	}{
		"the first one":                       {nil, first, 0, []*ca{first}},
		"itself again":                        {trusted{first.certificate}, first, time.Hour, []*ca{first}},
		"both, just after the second came":    {trusted{first.certificate}, second, 10*time.Hour + time.Minute, []*ca{second, first}},
		"the second alone, an overlap later":  {trusted{second.certificate, first.certificate}, second, 11*time.Hour + time.Minute, []*ca{second}},
		"nothing that has expired":            {trusted{expired.certificate}, first, 0, []*ca{first}},
		"the current one, even if restored":   {trusted{second.certificate}, first, 12 * time.Hour, []*ca{second, first}},
		"the current one, even if it expired": {nil, expired, 0, []*ca{expired}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.known.merge(c.current.certificate, start.Add(c.at))
			if len(got) != len(c.want) {
				t.Fatalf("%d CAs are trusted, want %d", len(got), len(c.want))
			}
			for i := range got {
				if !got[i].Equal(c.want[i].certificate) {
					t.Errorf("number %d is another one", i)
				}
			}
		})
	}
}

func TestTheOrderInWhichReplicasMergeChangesNothing(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	var all trusted
	for i := range 4 {
		all = append(all, mustCA(t, start.Add(time.Duration(i)*time.Minute), 24*time.Hour).certificate)
	}
	want := trusted{}.merge(all[3], start.Add(5*time.Minute), all[:3]...).encode()
	rapid.Check(t, func(r *rapid.T) {
		shuffled := trusted(rapid.Permutation(all).Draw(r, "order"))
		known := rapid.IntRange(0, len(all)).Draw(r, "known")
		got := shuffled[:known].merge(all[3], start.Add(5*time.Minute), shuffled[known:]...)
		if string(got.encode()) != string(want) {
			r.Fatal("another bundle")
		}
		if again := parseBundle(got.encode()).merge(all[3], start.Add(5*time.Minute)); string(again.encode()) != string(want) {
			r.Fatal("read back and merged again it is another one")
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add(trusted{mustCA(f, time.Now(), time.Hour).certificate}.encode())
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		bundle := parseBundle(data)
		if again := parseBundle(bundle.encode()); len(again) != len(bundle) {
			t.Errorf("%d certificates, and %d read back", len(bundle), len(again))
		}
	})
}
