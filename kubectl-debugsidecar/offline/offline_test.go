package offline

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestMain(m *testing.M) {
	// The namespace of whoever runs the tests is no part of them.
	os.Setenv("KUBECONFIG", os.DevNull)
	os.Unsetenv("POD_NAMESPACE")
	os.Exit(m.Run())
}

// result is what a call of the command line gives.
type result struct {
	out, err string
	code     int
}

func run(input string, args ...string) result {
	var out, errOut bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(input), Out: &out, ErrOut: &errOut}
	code := Main(context.Background(), args, streams)
	return result{out.String(), errOut.String(), code}
}

// fine runs a command that has to succeed.
func fine(t testing.TB, input string, args ...string) result {
	t.Helper()
	r := run(input, args...)
	if r.code != exitFine {
		t.Fatalf("%v: status %d\n%s", args, r.code, r.err)
	}
	return r
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
