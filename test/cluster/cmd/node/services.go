package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"

	"github.com/debugsidecar/debugsidecar/test/cluster/internal/protocol"
)

// api asks the API server for Services. It reads its credentials when it is first
// asked, for they are made after the node's namespaces.
type api struct {
	protocol.API
	client func() (*http.Client, error)
}

func newAPI(a protocol.API) *api {
	return &api{a, sync.OnceValues(func() (*http.Client, error) {
		ca, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, err
		}
		cert, err := tls.LoadX509KeyPair(a.Certificate, a.Key)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		return &http.Client{Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
		}}, nil
	})}
}

// get decodes what is at a path into object. It returns false if nothing is.
func (a *api) get(ctx context.Context, path string, object any) (bool, error) {
	client, err := a.client()
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+path, nil)
	if err != nil {
		return false, err
	}
	answer, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return true, json.NewDecoder(answer.Body).Decode(object)
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("GET %s: %s", path, answer.Status)
}

// addresses returns the cluster address of a Service or, where it has none or a
// host is asked for, those of its ready endpoints.
func (a *api) addresses(ctx context.Context, namespace, service, host string) ([]netip.Addr, bool, error) {
	var s struct{ Spec struct{ ClusterIP string } }
	exists, err := a.get(ctx, "/api/v1/namespaces/"+url.PathEscape(namespace)+"/services/"+url.PathEscape(service), &s)
	if err != nil || !exists {
		return nil, exists, err
	}
	if ip, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil && host == "" {
		return []netip.Addr{ip}, true, nil
	}
	var slices struct {
		Items []struct {
			AddressType string
			Endpoints   []struct {
				Addresses  []string
				Hostname   string
				Conditions struct{ Ready *bool }
			}
		}
	}
	path := "/apis/discovery.k8s.io/v1/namespaces/" + url.PathEscape(namespace) + "/endpointslices?labelSelector=" +
		url.QueryEscape("kubernetes.io/service-name="+service)
	if _, err := a.get(ctx, path, &slices); err != nil {
		return nil, false, err
	}
	var found []netip.Addr
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if slice.AddressType != "IPv4" || host != "" && e.Hostname != host || e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, text := range e.Addresses {
				if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
					found = append(found, ip)
				}
			}
		}
	}
	return found, host == "" || len(found) > 0, nil
}
