package cluster

import (
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfig returns the path of a user's kubeconfig file.
func (c *Cluster) kubeconfig(user string) string {
	if user == "admin" {
		return filepath.Join(c.dir, "kubeconfig")
	}
	return filepath.Join(c.dir, user+".kubeconfig")
}

// writeKubeconfig writes the kubeconfig file of a user that has a certificate.
func (c *Cluster) writeKubeconfig(user string) error {
	var data [3][]byte
	for i, file := range []string{"ca.crt", user + ".crt", user + ".key"} {
		var err error
		if data[i], err = os.ReadFile(c.pki.path(file)); err != nil {
			return err
		}
	}
	const name = "debugsidecar"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: c.url(c.ports.api), CertificateAuthorityData: data[0]}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: data[1], ClientKeyData: data[2]}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, c.kubeconfig(user))
}
