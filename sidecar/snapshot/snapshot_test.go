package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// take makes a snapshot and returns its files.
func take(t *testing.T, change func(*options)) (files map[string]string, order []string, m Manifest) {
	t.Helper()
	o := options{version: "test", proc: "/proc", runDir: t.TempDir(), since: time.Minute, partTime: 10 * time.Second, allTime: time.Minute, progress: io.Discard}
	if change != nil {
		change(&o)
	}
	var out bytes.Buffer
	if _, err := write(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	return unpack(t, &out)
}

func unpack(t *testing.T, r io.Reader) (files map[string]string, order []string, m Manifest) {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for a := tar.NewReader(z); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 || h.Typeflag != tar.TypeReg {
			t.Errorf("%s has the mode %o", h.Name, h.Mode)
		}
		text, err := io.ReadAll(a)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, "snapshot/")
		files[name] = string(text)
		order = append(order, name)
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &m); err != nil {
		t.Fatalf("the manifest: %v", err)
	}
	return files, order, m
}

func (m Manifest) entry(t *testing.T, name string) Entry {
	t.Helper()
	i := slices.IndexFunc(m.Parts, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("nothing is said of %s", name)
	}
	return m.Parts[i]
}

func TestEachPartIsThereOrItIsSaidWhyNot(t *testing.T) {
	files, order, m := take(t, nil)
	if order[len(order)-1] != "manifest.json" || len(m.Parts) != len((&look{}).parts()) {
		t.Errorf("%v", order)
	}
	for i, e := range m.Parts {
		if (&look{}).parts()[i].name != e.Name {
			t.Errorf("%s is at %d", e.Name, i)
		}
		text, there := files[e.Name]
		if there != (e.Bytes > 0) || len(text) != e.Bytes || !there && e.Error == "" && e.From == "" {
			t.Errorf("%+v, %d bytes", e, len(text))
		}
		if there && strings.HasSuffix(e.Name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON", e.Name)
		}
	}
	for _, name := range []string{"versions.json", "processes.json", "sockets.json", "net/snmp", "net/softnet_stat", "own/mounts", "own/limits", "doctor.json"} {
		if files[name] == "" {
			t.Errorf("%s: %s", name, m.entry(t, name).Error)
		}
	}
	if e := m.entry(t, "target/mounts"); e.Error != "the target: no target container was named" {
		t.Errorf("%+v", e)
	}
}

// planted are secrets, each at another place. None may be in an archive.
func TestPlantedSecretsAreNowhere(t *testing.T) {
	secrets := map[string]string{}
	plant := func(place string) string {
		secrets[place] = "S3cr3t" + fmt.Sprintf("%02d", len(secrets)) + "xyz"
		return secrets[place]
	}
	t.Setenv("CAMERA_PASSWORD", plant("our environment"))
	t.Setenv("PLAIN_NAME", plant("our environment, an innocent name"))
	t.Setenv("DEBUGSIDECAR_SESSION_REASON", "asked with token="+plant("the reason")+" by rtsp://u:"+plant("a URL in the reason")+"@cam/")
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + plant("a JSON web token")
	arguments := []string{
		"-c", "echo up; sleep 60", "name", // what sh runs; the rest is only seen
		"rtsp://admin:" + plant("a URL") + "@192.0.2.1/live?pwd=" + plant("a query"),
		"--password", plant("the argument after a flag"), "--api-key=" + plant("a flag"), "-u", "me:" + plant("curl's user"),
		"-H", "Authorization: Bearer " + plant("a header"), "DB_PASSWORD=" + plant("an assignment"), jwt,
		"postgres://db/" + plant("an innocent argument with a value of a secret's variable"),
		"--with=" + plant("the password of a URL in a variable"),
	}
	child := exec.CommandContext(t.Context(), "sh", arguments...)
	child.Env = append(os.Environ(),
		"SOME_TOKEN="+secrets["an innocent argument with a value of a secret's variable"],
		"SOURCE=rtsp://u:"+secrets["the password of a URL in a variable"]+"@cam/x", "ITS_KEY="+plant("a child's environment"))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	// The probe's token, and a probe that says too much.
	run := t.TempDir()
	token := plant("the probe's token") + strings.Repeat("t", 40)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"alerts":[{"ts":%q,"n":1},{"ts":%q,"n":2}],"you":%q,"source":"rtsp://a:%s@c/","keyFrames":12}`,
			time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Format(time.RFC3339), token, plant("what the probe says"))
	}))
	t.Cleanup(server.Close)
	if err := errors.Join(os.WriteFile(run+"/token", []byte(token+"\n"), 0o600), os.WriteFile(run+"/inside", []byte(server.Listener.Addr().String()+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	files, _, m := take(t, func(o *options) { o.runDir = run })
	if !strings.Contains(files["processes.json"], `"rtsp://admin:***@192.0.2.1/live?pwd=***"`) {
		t.Errorf("the child is not there: %s", m.entry(t, "processes.json").Error)
	}
	if got := files["probe/status.json"]; !strings.Contains(got, `"keyFrames": 12`) || !strings.Contains(got, `"n": 2`) || strings.Contains(got, `"n": 1`) {
		t.Errorf("the probe's: %s %s", got, m.entry(t, "probe/status.json").Error)
	}
	if !strings.Contains(files["own/environment.json"], `"CAMERA_PASSWORD"`) {
		t.Error("the names are not there")
	}
	for place, secret := range secrets {
		for name, text := range files {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", place, name)
			}
		}
	}
}

func TestAHangingPartAndALargeOneAreBounded(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	begin := time.Now()
	files, _, m := take(t, func(o *options) {
		o.partTime = 2 * time.Second
		o.extra = []part{
			{name: "hangs", gather: func(context.Context) ([]byte, bool, error) { <-stop; return nil, false, nil }},
			{name: "large", figures: true, gather: func(context.Context) ([]byte, bool, error) {
				return bytes.Repeat([]byte("x"), 3*mostPart), false, nil
			}},
			{name: "large.json", json: true, gather: func(context.Context) ([]byte, bool, error) {
				return []byte(`"` + strings.Repeat("x", 2*mostPart) + `"`), false, nil
			}},
			{name: "faulty", gather: func(context.Context) ([]byte, bool, error) { panic("fault") }},
			{name: "last", gather: func(context.Context) ([]byte, bool, error) { return []byte("here"), false, nil }},
		}
	})
	if e := m.entry(t, "hangs"); !strings.Contains(e.Error, "did not come within 2s") {
		t.Errorf("%+v", e)
	}
	if e := m.entry(t, "large"); e.Bytes != mostPart || !e.Truncated {
		t.Errorf("%+v", e)
	}
	if e := m.entry(t, "large.json"); e.Bytes != 0 || e.Error == "" {
		t.Errorf("%+v", e)
	}
	if e := m.entry(t, "faulty"); !strings.Contains(e.Error, "fault") || files["last"] != "here" {
		t.Errorf("%+v", e)
	}
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

// As when the filesystem below a mount does not answer: opening blocks.
func TestAProcThatHangsDoesNotHangIt(t *testing.T) {
	root := t.TempDir()
	pid := filepath.Join(root, "77")
	if err := os.Mkdir(pid, 0o755); err != nil {
		t.Fatal(err)
	}
	stat := "77 (app) S 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 5 0"
	if err := errors.Join(os.WriteFile(pid+"/stat", []byte(stat), 0o644), os.WriteFile(pid+"/cgroup", []byte("0::/\n"), 0o644), unix.Mkfifo(pid+"/cmdline", 0o644), unix.Mkfifo(pid+"/environ", 0o644)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, _, m := take(t, func(o *options) { o.proc, o.partTime = root, time.Second })
	if e := m.entry(t, "processes.json"); !strings.Contains(e.Error, "did not come within") {
		t.Errorf("%+v", e)
	}
	if e := m.entry(t, "own/limits"); e.Bytes == 0 {
		t.Errorf("what comes after: %+v", e)
	}
	if d := time.Since(begin); d > 15*time.Second {
		t.Errorf("it took %v", d)
	}
	for _, name := range []string{"/cmdline", "/environ"} { // let them go
		if f, err := os.OpenFile(pid+name, os.O_WRONLY, 0); err == nil {
			f.Close()
		}
	}
}

func TestWhenAllTimeIsOverTheRestIsNamed(t *testing.T) {
	_, _, m := take(t, func(o *options) { o.allTime = time.Nanosecond })
	for _, e := range m.Parts {
		if e.Bytes != 0 || !strings.Contains(e.Error, "the time for all was over") {
			t.Errorf("%+v", e)
		}
	}
}

func TestTheFileIsNewAndItsOwners(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/s.tgz"
	var out, progress bytes.Buffer
	run := func(args ...string) error {
		c := Command("test")
		c.SilenceErrors, c.SilenceUsage = true, true
		c.SetOut(&out)
		c.SetErr(&progress)
		c.SetArgs(args)
		return c.Execute()
	}
	if err := run("-o", file); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(file)
	if err != nil || st.Mode().Perm() != 0o600 || !strings.Contains(progress.String(), "manifest.json says why") {
		t.Errorf("%v %v\n%s", st.Mode(), err, progress.String())
	}
	if err := run("-o", file); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Error(err)
	}
	if err := os.Symlink(dir+"/elsewhere", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := run("-o", dir+"/link"); err == nil {
		t.Error("a link was followed")
	}
	if err := run("-o", "-"); err != nil {
		t.Fatal(err)
	}
	unpack(t, &out)
	out.Reset()
	if err := run("--list"); err != nil || strings.Count(out.String(), "\n") != len((&look{}).parts()) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestSocketsAreRead(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	files, _, _ := take(t, nil)
	var all []socket
	if err := json.Unmarshal([]byte(files["sockets.json"]), &all); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s socket) bool { return s.Local == listener.Addr().String() })
	if i < 0 || all[i].State != "listen" || !slices.Contains(all[i].PIDs, os.Getpid()) {
		t.Errorf("%+v", all)
	}
	const lines = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"  1: 0100007F:138C 00000000:0000 07 00000010:00000020 00:00000000 00000000  1000        0 4711 2 0000000000000000 33\n" +
		"  2: B80D0120000000000000000001000000:0050 zz 0A 0:0 0 0 0 0 1\n garbage\n"
	got := parseSockets("udp", lines)
	if len(got) != 1 || got[0].Local != "127.0.0.1:5004" || got[0].Send != 16 || got[0].Receive != 32 || got[0].Drops != 33 || got[0].Inode != "4711" {
		t.Errorf("%+v", got)
	}
	if at := endpoint("B80D0120000000000000000001000000:0050"); at != "[2001:db8::1]:80" {
		t.Error(at)
	}
}

func TestProbesAddressesOutsideOfLoopbackAreRefused(t *testing.T) {
	token := strings.Repeat("t", 43)
	for _, address := range []string{"192.0.2.1:9401", "example.com:80", "127.0.0.1", "localhost:9401", "127.0.0.1:80/x@192.0.2.1"} {
		if a, err := newAccess(token, address); err == nil {
			t.Errorf("%s: %+v", address, a)
		}
	}
	if a, err := newAccess(token+"\n", ""); err != nil || a.address != "127.0.0.1:9401" || a.token != token {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := newAccess("x\r\nHost: y", ""); err == nil {
		t.Error("that is no token")
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("--password=x rtsp://a:b@c/?pwd=d", "hunter22")
	f.Add("Authorization: Bearer abcdefgh", "abcdefgh")
	f.Fuzz(func(t *testing.T, text, secret string) {
		var r redactor
		r.know(secret)
		r.ready()
		s := strings.TrimSpace(secret)
		if got := r.text(text); len(s) >= minSecret && strings.Contains(got, s) && !strings.Contains(masked, s) {
			if strings.Contains(s, masked) || strings.Contains(s, "*") {
				t.Skip("it is what a mask makes")
			}
			t.Errorf("%q has %q", got, s)
		}
	})
}
