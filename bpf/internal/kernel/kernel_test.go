package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
)

func TestRunningKernelIsKnown(t *testing.T) {
	types, err := Types()
	if err != nil {
		t.Skip(err)
	}
	names, err := Enum(types, "skb_drop_reason")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		all = append(all, name)
	}
	for _, want := range []string{"SKB_DROP_REASON_NO_SOCKET", "SKB_DROP_REASON_SOCKET_RCVBUFF", "SKB_DROP_REASON_QDISC_DROP"} {
		if !slices.Contains(all, want) {
			t.Errorf("no %s", want)
		}
	}
	if n, err := TracepointArgs(types, "kfree_skb"); err != nil || n < 3 || n > 4 {
		t.Errorf("kfree_skb has %d arguments, %v", n, err)
	}
	if _, err := TracepointArgs(types, "no_such_tracepoint"); err == nil {
		t.Error("a tracepoint that does not exist has arguments")
	}
	if _, err := Enum(types, "no_such_enum"); err == nil {
		t.Error("an enumeration that does not exist has values")
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	if Explain("x", nil) != nil {
		t.Error("no error became one")
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("load: %w", unix.EPERM), "although the process has the capabilities"},
		{fmt.Errorf("load: %w", ebpf.ErrNotSupported), "6.1 or newer"},
		{errors.New("something"), "x: not available: something"},
	} {
		err := Explain("x", test.err)
		var unavailable *bpf.UnavailableError
		if !errors.As(err, &unavailable) || !errors.Is(err, test.err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v became %v", test.err, err)
		}
	}
}
