package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// load creates labelled pods in a namespace that enforces a level until it is
// stopped. A creation that fails, or comes back without its sidecar, is a
// request that the webhook lost.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	sent int
	lost []string
}

func startLoad(t *testing.T, ns string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	t.Cleanup(cancel)
	for worker := range 4 {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				l.one(ctx, ns, fmt.Sprintf("load-%d-%d", worker, n))
			}
		})
	}
	return l
}

func (l *load) one(ctx context.Context, ns, name string) {
	pod, err := dryRun(ctx, ns, labelled(name))
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	switch {
	case err != nil:
		l.lost = append(l.lost, err.Error())
	case sidecars(pod) != 1:
		l.lost = append(l.lost, name+" has no sidecar")
	}
}

// enough is how many requests show something.
const enough = 50

// end stops the load once there was enough of it, and fails the test if a request
// was lost.
func (l *load) end(t *testing.T) {
	t.Helper()
	eventually(t, "enough requests", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sent < enough {
			return fmt.Errorf("only %d were sent: this shows nothing", l.sent)
		}
		return nil
	})
	l.cancel()
	l.wg.Wait()
	if len(l.lost) > 0 {
		t.Errorf("%d of %d requests were lost, the first: %s", len(l.lost), l.sent, l.lost[0])
	}
	t.Logf("%d requests, %d lost", l.sent, len(l.lost))
}

func TestNoRequestIsLostWhenReplicasAreReplaced(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	l := startLoad(t, ns)
	for range 4 {
		time.Sleep(500 * time.Millisecond)
		oldest := env.installation.Running()[0]
		if _, err := env.installation.StartReplica(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := oldest.Stop(ctx); err != nil {
			t.Errorf("SIGTERM did not end it in order: %v", err)
		}
		cancel()
	}
	l.end(t)
}

func TestOneOfTwoReplicasStopsUnderLoadAndNoRequestIsLost(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	l := startLoad(t, ns)
	time.Sleep(time.Second)
	if err := env.installation.Running()[0].Stop(t.Context()); err != nil {
		t.Errorf("SIGTERM did not end it in order: %v", err)
	}
	time.Sleep(time.Second)
	l.end(t)
	if _, err := env.installation.StartReplica(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNoRequestIsLostWhileTheCAIsReplaced(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	secrets := env.client.CoreV1().Secrets(env.installation.Namespace)
	l := startLoad(t, ns)
	before := caBundle(t)
	for round := range 2 {
		secret, err := secrets.Get(t.Context(), "debugsidecar-ca", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		old := string(secret.Data["tls.crt"])
		if round == 0 {
			secret.Data["tls.key"] = []byte("damaged") // a new CA is made
			_, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
		} else {
			err = secrets.Delete(t.Context(), secret.Name, metav1.DeleteOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "a new CA", func() error {
			secret, err := secrets.Get(t.Context(), "debugsidecar-ca", metav1.GetOptions{})
			if err == nil && (string(secret.Data["tls.crt"]) == old || len(secret.Data["tls.crt"]) == 0) {
				err = errors.New("it is the old one still")
			}
			return err
		})
		// Beyond the time after which each replica serves with the new CA.
		time.Sleep(3 * time.Second)
	}
	l.end(t)
	if caBundle(t) == before {
		t.Error("the configurations trust what they trusted before")
	}
}

func TestAVandalisedCABundleIsHealed(t *testing.T) {
	want := caBundle(t)
	for name, patch := range map[string]string{
		"cleared": `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`,
		"foreign": fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":%q}]`, foreignCA),
	} {
		for _, kind := range []string{"mutatingwebhookconfiguration", "validatingwebhookconfiguration"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				if _, _, err := env.cluster.Kubectl(t.Context(), "", "patch", kind, "debugsidecar", "--type=json", "--patch="+patch); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				eventually(t, "the CA bundle", func() error {
					for _, bundle := range caBundles(t, kind) {
						if bundle != want {
							return errors.New("not healed yet")
						}
					}
					return nil
				})
				t.Logf("healed after %v", time.Since(start).Round(time.Millisecond))
			})
		}
	}
}

// caBundle returns what all entries of our configurations trust.
func caBundle(t *testing.T) string {
	t.Helper()
	all := append(caBundles(t, "mutatingwebhookconfiguration"), caBundles(t, "validatingwebhookconfiguration")...)
	for _, bundle := range all {
		if bundle != all[0] || bundle == "" {
			t.Fatalf("the entries trust different CAs, or none")
		}
	}
	return all[0]
}

func caBundles(t *testing.T, kind string) (bundles []string) {
	t.Helper()
	data, _, err := env.cluster.Kubectl(t.Context(), "", "get", kind, "debugsidecar", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Webhooks []struct {
			ClientConfig struct {
				CABundle string `json:"caBundle"`
			} `json:"clientConfig"`
		} `json:"webhooks"`
	}
	if err := json.Unmarshal([]byte(data), &config); err != nil {
		t.Fatal(err)
	}
	for _, w := range config.Webhooks {
		bundles = append(bundles, w.ClientConfig.CABundle)
	}
	return bundles
}
