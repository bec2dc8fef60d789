package video_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/capture"
	"github.com/debugsidecar/debugsidecar/test/video/peer"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "cameras"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, time.Hour)
	a.write(a.file, "CERTIFICATE", a.cert.Raw)
	return a
}

func (a *authority) sign(c *x509.Certificate, ends time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-2*time.Hour), time.Now().Add(ends)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		a.t.Fatal(err)
	}
	defer f.Close()
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		a.t.Fatal(err)
	}
}

// camera is an RTSP server over TLS with a certificate for names and addresses.
func (a *authority) camera(user string, ends time.Duration, hosts ...string) *peer.Server {
	a.t.Helper()
	needs(a.t)
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "camera"}, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	cert, key := a.sign(c, ends)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	path := filepath.Join(a.t.TempDir(), "camera.pem")
	a.write(path, "CERTIFICATE", cert.Raw)
	a.write(path, "PRIVATE KEY", der)
	s, err := peer.Secure(peer.Pattern(640, 360), user, path)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(s.Stop)
	return s
}

func TestRTSPOverTLSIsVerified(t *testing.T) {
	a := newAuthority(t)
	byName := a.camera("admin:s3kret", time.Hour, "localhost")
	named := strings.Replace(byName.URL, "127.0.0.1", "localhost", 1)
	with := func(url, user string) string { return strings.Replace(url, "://", "://"+user+"@", 1) }

	t.Run("by name, with a password", func(t *testing.T) {
		o := capture.Options{Source: with(named, "admin:s3kret"), CA: a.file}
		checkPlays(t, play(t, o), o)
	})
	t.Run("by address", func(t *testing.T) {
		o := capture.Options{Source: a.camera("", time.Hour, "127.0.0.1").URL, CA: a.file, Transport: "udp"} // it is TCP over TLS all the same
		checkPlays(t, play(t, o), o)
	})
	t.Run("not at all", func(t *testing.T) {
		o := capture.Options{Source: with(byName.URL, "admin:s3kret"), Insecure: true}
		checkPlays(t, play(t, o), o)
	})
	for _, test := range []struct {
		name, source, ca, why string
		cause                 capture.Cause
	}{
		{"nobody knows its CA", with(named, "admin:s3kret"), "", "--source-ca", capture.Refused},
		{"another CA", with(named, "admin:s3kret"), newAuthority(t).file, "signed by nobody who is trusted here", capture.Refused},
		{"another name", with(byName.URL, "admin:s3kret"), a.file, "127.0.0.1", capture.Refused},
		{"expired", a.camera("", -time.Hour, "127.0.0.1").URL, a.file, "expired", capture.Refused},
		{"no TLS", strings.Replace(camera(t, "").URL, "rtsp:", "rtsps:", 1), a.file, "does not speak TLS", capture.Camera},
		{"wrong password", with(named, "admin:wrong"), a.file, "401", capture.Credentials},
		{"no CA in the file", named, os.Args[0], "", capture.Refused},
		{"no file", named, "/nowhere/ca.pem", "no such file", capture.Refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := impatient(test.source)
			o.CA = test.ca
			s := awaitFault(t, play(t, o), test.cause, test.why)
			if s.Frames != 0 || strings.Contains(s.Why, "s3kret") {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestKilledServerOverTLSIsTheCamerasFault(t *testing.T) {
	a := newAuthority(t)
	server := a.camera("", time.Hour, "127.0.0.1")
	o := impatient(server.URL)
	o.CA = a.file
	c := play(t, o)
	await(t, c, "playing", frames(30))
	server.Stop()
	awaitFault(t, c, capture.Camera, "")
}

// A camera that sends its clients on is not followed out of TLS: the password
// would go there in the clear.
func TestNobodyIsFollowedOutOfTLS(t *testing.T) {
	needs(t)
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { elsewhere.Close() })
	var visits atomic.Int64
	go func() {
		for {
			conn, err := elsewhere.Accept()
			if err != nil {
				return
			}
			visits.Add(1)
			conn.Close()
		}
	}()
	a := newAuthority(t)
	cert, key := a.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Hour)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go redirect(conn, "rtsp://"+elsewhere.Addr().String()+"/live")
		}
	}()
	o := impatient("rtsps://admin:s3kret@" + l.Addr().String() + "/live")
	o.CA = a.file
	awaitFault(t, play(t, o), capture.Refused, "out of TLS")
	if n := visits.Load(); n != 0 {
		t.Errorf("%d connections in the clear", n)
	}
}

// redirect answers each request of RTSP: it is to be had elsewhere.
func redirect(conn net.Conn, to string) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	sequence := ""
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, "CSeq:") {
			sequence = line
		} else if line == "" {
			fmt.Fprintf(conn, "RTSP/1.0 302 Found\r\n%s\r\nLocation: %s\r\n\r\n", sequence, to)
		}
	}
}

func TestHTTPSIsVerifiedByTheSameAuthority(t *testing.T) {
	needs(t)
	path := filepath.Join(t.TempDir(), "clip.flv")
	if err := peer.Clip(path, 640, 360, 20); err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	cert, key := a.sign(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Hour)
	url, stop, err := peer.SecureHandler(cert, key, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	t.Run("a known CA", func(t *testing.T) {
		o := impatient(url + "/live.flv")
		o.CA = a.file
		await(t, play(t, o), "playing", frames(30))
	})
	t.Run("nobody knows its CA", func(t *testing.T) {
		if s := awaitFault(t, play(t, impatient(url+"/live.flv")), capture.Refused, "--source-ca"); s.Frames != 0 {
			t.Errorf("%+v", s)
		}
	})
}
