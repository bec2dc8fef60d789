package policies

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// User is who sent a request, as the API server says in userInfo: after an
// impersonation, that is the impersonated user.
type User struct {
	Name   string   `json:"username"`
	Groups []string `json:"groups"`
}

// Exemption is what an exemption let through: one that changed nothing is none.
type Exemption struct {
	By         string // the parameter: users, serviceAccounts, namespaces or runtimeClasses
	Name       string // what it names
	Violations []Violation
}

func (e *Exemption) String() string {
	return "exemptions." + e.By + " has " + strconv.Quote(e.Name)
}

// The lists of exemptions. Each names what it exempts exactly: there is no
// wildcard, and upper and lower case differ.
const (
	exemptNamespaces      = "namespaces"
	exemptUsers           = "users"
	exemptServiceAccounts = "serviceAccounts"
	exemptRuntimeClasses  = "runtimeClasses"
)

var exemptionLists = []string{exemptUsers, exemptServiceAccounts, exemptNamespaces, exemptRuntimeClasses}

// exemptions are names by list.
type exemptions map[string]map[string]bool

// of returns the exemption that holds for a request, without violations; nil if
// there is none. Users count for pods alone: the pods of a workload are made by
// its controller, whoever made the workload.
func (e exemptions) of(r *Request) *Exemption {
	if len(e) == 0 {
		return nil
	}
	has := func(list, name string) bool { return name != "" && e[list][name] }
	isPod := r.specPath() == "spec"
	class := ""
	if c := r.Pod.Spec.RuntimeClassName; c != nil {
		class = *c
	}
	account := r.User.serviceAccount()
	switch {
	case has(exemptNamespaces, r.Namespace):
		return &Exemption{By: exemptNamespaces, Name: r.Namespace}
	case isPod && has(exemptUsers, r.User.Name):
		return &Exemption{By: exemptUsers, Name: r.User.Name}
	case isPod && has(exemptServiceAccounts, account):
		return &Exemption{By: exemptServiceAccounts, Name: account}
	case has(exemptRuntimeClasses, class):
		return &Exemption{By: exemptRuntimeClasses, Name: class}
	}
	return nil
}

const serviceAccountPrefix = "system:serviceaccount:"

// serviceAccount returns namespace/name of the service account that the user is,
// empty for others. The groups have to say so, too: the API server gives them to
// a service account however it came in, and a name alone may be a certificate's.
func (u User) serviceAccount() string {
	rest, is := strings.CutPrefix(u.Name, serviceAccountPrefix)
	namespace, name, two := strings.Cut(rest, ":")
	if !is || !two || !slices.Contains(u.Groups, "system:serviceaccounts") || !slices.Contains(u.Groups, "system:serviceaccounts:"+namespace) {
		return ""
	}
	return namespace + "/" + name
}

// makers make the pods of everybody's workloads. To exempt one is to exempt all.
var makers = map[string][]string{
	exemptUsers: {"system:kube-controller-manager"},
	exemptServiceAccounts: {
		"kube-system/daemon-set-controller", "kube-system/job-controller", "kube-system/replicaset-controller",
		"kube-system/replication-controller", "kube-system/statefulset-controller",
	},
}

// checkExemption says what is wrong with a name in a list.
func checkExemption(list, name string) error {
	switch {
	case name == "" || strings.ContainsRune(name, '*'):
		return fmt.Errorf("name each of them; there is no wildcard")
	case slices.Contains(makers[list], name):
		return fmt.Errorf("makes the pods of everybody's workloads; name the namespace or the RuntimeClass")
	case list == exemptUsers && strings.HasPrefix(name, serviceAccountPrefix):
		return fmt.Errorf("want it in serviceAccounts, as namespace/name")
	case list == exemptUsers && name == "system:anonymous":
		return fmt.Errorf("is whoever has not said who they are")
	case list == exemptServiceAccounts:
		if namespace, account, two := strings.Cut(name, "/"); !two || namespace == "" || account == "" || strings.ContainsAny(account, "/:") || strings.Contains(namespace, ":") {
			return fmt.Errorf("want namespace/name")
		}
	}
	return nil
}

// exemptions reads the key exemptions.
func (r *parametersReader) exemptions(path string, node *yaml.Node, into *settings, top bool) {
	own := maps.Clone(into.exempt)
	if own == nil {
		own = exemptions{}
	}
	r.mapping(path, node, func(list, path string, keyNode, value *yaml.Node) {
		if !slices.Contains(exemptionLists, list) {
			r.wrong(keyNode, path, "unknown field; known here are %s", strings.Join(exemptionLists, ", "))
			return
		}
		if isNull(value) {
			return
		}
		if value.Kind != yaml.SequenceNode {
			r.wrong(value, path, "want a list")
			return
		}
		if list == exemptNamespaces && !top && len(value.Content) > 0 {
			r.wrong(value, path, "which namespace it is about is said above; set exemptions.namespaces for all")
			return
		}
		names := map[string]bool{}
		for i, member := range value.Content {
			at := path + "[" + strconv.Itoa(i) + "]"
			switch {
			case member.Kind != yaml.ScalarNode || isNull(member):
				r.wrong(member, at, "want a single value")
			default:
				if err := checkExemption(list, member.Value); err != nil {
					r.wrong(member, at, "%q: %s", member.Value, err)
				}
				names[member.Value] = true
			}
		}
		own[list] = names
	})
	into.exempt = own
}
