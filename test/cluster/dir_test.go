package cluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/debugsidecar/debugsidecar/test/lock"
)

func TestSweepRemovesOnlyWhatNobodyUses(t *testing.T) {
	temp := t.TempDir()
	for _, test := range []struct {
		name       string
		age        time.Duration
		used, goes bool
	}{
		{tempName + "killed", 2 * keepFor, false, true},
		{tempName + "failed-just-now", 0, false, false},
		{tempName + "long-running", 2 * keepFor, true, false},
		{"somebody-else", 2 * keepFor, false, false},
	} {
		path := filepath.Join(temp, test.name, lockName)
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		held, err := lock.Try(path)
		if err != nil {
			t.Fatal(err)
		}
		if test.used {
			defer held.Close()
		} else if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-test.age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		sweep(temp)
		if _, err := os.Stat(path); os.IsNotExist(err) != test.goes {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
