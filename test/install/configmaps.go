package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// syncConfigMaps writes the chart's ConfigMaps as a kubelet does: the files are
// in a directory of their own, and a link is exchanged in one step.
func (i *Installation) syncConfigMaps(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(i.cluster.Config)
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	for _, name := range []string{"config", "profiles", "rules"} {
		cm, err := client.CoreV1().ConfigMaps(i.Namespace).Get(ctx, i.options.Release+"-"+name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading a ConfigMap: %w", err)
		}
		if err := writeVolume(i.configDir(name), cm); err != nil {
			return fmt.Errorf("writing ConfigMap %s: %w", cm.Name, err)
		}
	}
	return nil
}

func (i *Installation) configDir(name string) string {
	return filepath.Join(i.options.Dir, "configmaps", name)
}

func writeVolume(dir string, cm *corev1.ConfigMap) error {
	content := "..content-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := os.MkdirAll(filepath.Join(dir, content), 0o700); err != nil {
		return err
	}
	for name, text := range cm.Data {
		if err := os.WriteFile(filepath.Join(dir, content, name), []byte(text), 0o600); err != nil {
			return err
		}
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
			return err
		}
	}
	next := filepath.Join(dir, "..data_tmp")
	_ = os.Remove(next)
	if err := os.Symlink(content, next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	return removeGone(dir, cm)
}

// removeGone removes the links of keys that the ConfigMap no longer has.
func removeGone(dir string, cm *corev1.ConfigMap) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := cm.Data[e.Name()]; ok || e.Name()[:2] == ".." {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
