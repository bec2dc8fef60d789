package capture

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPasswordsAreMasked(t *testing.T) {
	for source, want := range map[string]string{
		"rtsp://camera/1":                         "rtsp://camera/1",
		"rtsp://admin:s3kret@camera:554/1":        "rtsp://admin:***@camera:554/1",
		"rtsp://admin:@camera/1":                  "rtsp://admin:***@camera/1",
		"rtsp://s3kret@camera/1":                  "rtsp://***@camera/1",
		"rtsp://:s3kret@camera/1":                 "rtsp://:***@camera/1",
		"rtsp://admin:s3@kret@camera/1":           "rtsp://admin:***@camera/1",
		"rtsp://admin:s3/kret@camera/1":           "rtsp://admin:***@camera/1",
		"rtsp://admin:s3?kret#x@camera/1":         "rtsp://admin:***@camera/1",
		"rtsp://admin:s3:kret@camera/1":           "rtsp://admin:***@camera/1",
		"rtsp://admin:s3%zzkret@camera/1":         "rtsp://admin:***@camera/1",
		"rtsp://admin:s3 kret@camera/1":           "rtsp://admin:***@camera/1",
		"rtsp://s3/kret@camera/1":                 "rtsp://***@camera/1",
		"rtsp://s3@kr:et@camera/1":                "rtsp://***@camera/1",
		"admin:s3kret@camera/1":                   "admin:***@camera/1",
		"http://c/live.flv?user=a&pwd=s3kret":     "http://c/live.flv?user=a&pwd=***",
		"http://c/live.flv?PASSWORD=s3kret&x=1":   "http://c/live.flv?PASSWORD=***&x=1",
		"http://c/live.flv?access_token=s3kret":   "http://c/live.flv?access_token=***",
		"rtsp://c/user=a_password=s3kret_stream=": "rtsp://c/user=a_password=***",
		"rtsp://c/1\x1b[31m\n":                    "rtsp://c/1[31m",
		"/home/a/clip.mp4":                        "/home/a/clip.mp4",
		"/dev/video0":                             "/dev/video0",
		"":                                        "",
	} {
		if got := Mask(source); got != want {
			t.Errorf("%q is shown as %q, want %q", source, got, want)
		}
	}
}

// A password of any characters, escaped or not, is in nothing that is shown.
func TestNoPasswordIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := "s3kret" + rapid.String().Draw(t, "more") + "t3rkes"
		written := password
		if rapid.Bool().Draw(t, "escaped") {
			written = url.QueryEscape(password)
		}
		source := "rtsp://" + rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "user") + ":" + written + "@camera/1"
		if shown := Mask(source); strings.Contains(shown, "s3kret") || strings.Contains(shown, "t3rkes") {
			t.Fatalf("%q is shown as %q", source, shown)
		}
		r := newRedactor(source)
		for _, line := range []string{"can't open " + source + " now", "name=" + source, "Authorization: " + written, "password is " + password} {
			if shown := r.text(line); strings.Contains(shown, "s3kret") || strings.Contains(shown, "t3rkes") {
				t.Fatalf("%q becomes %q", line, shown)
			}
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("admin", "s3kret", "camera/1")
	f.Add("", "a/b?c#d@e", "camera/live?token=x")
	f.Fuzz(func(t *testing.T, user, password, rest string) {
		const canary = "c4n4ry"
		if strings.Contains(user+rest, canary) || strings.Contains(user, ":") {
			return
		}
		source := "rtsp://" + user + ":" + canary + password + canary + "@" + rest
		if shown := Mask(source); strings.Contains(shown, canary) {
			t.Errorf("%q is shown as %q", source, shown)
		}
		if again := Mask(Mask(source)); again != Mask(source) {
			t.Errorf("%q, masked again, is %q", Mask(source), again)
		}
	})
}
