package trust

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// maxCredentials is more than a Secret may hold.
const maxCredentials = 1 << 20

// errCredentials says nothing of what it read.
var errCredentials = errors.New("the Secret with the registries' credentials can't be read; it has to be of type kubernetes.io/dockerconfigjson")

// credentials reads those for a repository from a file as `docker login` writes
// it. It is read each time: the kubelet renews it. No helper programs are run.
func credentials(file, host, repository string) (authn.Authenticator, error) {
	if file == "" {
		return authn.Anonymous, nil
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return authn.Anonymous, nil
	}
	if err != nil {
		return nil, errCredentials
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCredentials))
	if err != nil {
		return nil, errCredentials
	}
	var config struct {
		Auths map[string]authn.AuthConfig `json:"auths"`
	}
	if json.Unmarshal(data, &config) != nil {
		return nil, errCredentials
	}
	best, found := "", authn.Anonymous
	for key, auth := range config.Auths {
		where := keyOf(key)
		if under(host+"/"+repository, where) && len(where) > len(best) {
			best, found = where, authn.FromConfig(auth)
		}
	}
	return found, nil
}

// keyOf is where credentials are for: a host, maybe with the beginning of a path.
func keyOf(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	for _, version := range []string{"/v1/", "/v2/", "/v1", "/v2", "/"} {
		key = strings.TrimSuffix(key, version)
	}
	host, path, _ := strings.Cut(key, "/")
	return strings.TrimSuffix(canonicalHost(host)+"/"+path, "/")
}

// under says whether a name is at a place or below it.
func under(name, place string) bool {
	return place != "" && (name == place || strings.HasPrefix(name, place+"/"))
}
