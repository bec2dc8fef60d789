package facts

import "github.com/open-policy-agent/opa/v1/ast"

// Keys of the document that are no kind of fact.
const (
	windowsKey       = "windows"            // whether it is a Windows pod
	userNamespaceKey = "userNamespace"      // whether the pod has a user namespace of its own (hostUsers: false)
	levelsWithinKey  = "selinuxLevelWithin" // those values of selinuxLevel that are within the namespace's range
	parametersKey    = "parameters"         // the parameters of the rules that hold in the namespace, as input.parameters.volumes.allowedTypes
)

// Terms that most pods need are made once. OPA doesn't change them.
var (
	kindTerms     = makeKindTerms()
	windows       = ast.StringTerm(windowsKey)
	userNamespace = ast.StringTerm(userNamespaceKey)
	levelsWithin  = ast.StringTerm(levelsWithinKey)
	parameters    = ast.StringTerm(parametersKey)

	commonStrings = makeCommonStrings()
	commonSets    = makeCommonSets()
)

func makeKindTerms() (terms [kinds]*ast.Term) {
	for k, name := range kindNames {
		terms[k] = ast.StringTerm(name)
	}
	return terms
}

func makeCommonStrings() map[string]*ast.Term {
	terms := map[string]*ast.Term{}
	for _, s := range []string{
		"ALL", "NET_BIND_SERVICE", "RuntimeDefault", "Localhost", "Default", "container_t", "runtime/default",
		"hostNetwork", "hostPID", "hostIPC",
	} {
		terms[s] = ast.StringTerm(s)
	}
	for _, s := range volumeSources {
		terms[s.name] = ast.StringTerm(s.name)
	}
	return terms
}

// makeCommonSets makes the sets of one value that well-behaved pods have.
func makeCommonSets() map[Value]*ast.Term {
	sets := map[Value]*ast.Term{}
	for _, v := range []Value{
		{}, boolValue(true), boolValue(false),
		listValue([]string{"ALL"}), listValue([]string{}),
	} {
		sets[v] = ast.SetTerm(v.term())
	}
	for text, term := range commonStrings {
		sets[stringValue(text)] = ast.SetTerm(term)
	}
	return sets
}

// Document returns what the rules read as input: the distinct values of every
// kind that the pod has, which SELinux levels are within the namespace's range,
// whether it is a Windows pod, whether it has a user namespace of its own, and
// the parameters of the rules.
func (f *Facts) Document(ruleParameters *ast.Term) ast.Value {
	items := make([][2]*ast.Term, 0, kinds+4)
	items = append(items,
		[2]*ast.Term{windows, ast.InternedTerm(f.windows)},
		[2]*ast.Term{userNamespace, ast.InternedTerm(f.userNamespace)},
		[2]*ast.Term{parameters, ruleParameters})
	var few [fewValues]Value
	seen := distinct{values: few[:0]}
	var allLevels *ast.Term
	levels := 0
	for kind := range Kind(kinds) {
		seen.reset()
		for i := range f.entries {
			if f.entries[i].kind == kind {
				seen.add(f.entries[i].value)
				if kind == SELinuxLevel {
					levels++
				}
			}
		}
		if len(seen.values) > 0 {
			set := setOf(seen.values)
			items = append(items, [2]*ast.Term{kindTerms[kind], set})
			if kind == SELinuxLevel {
				allLevels = set
			}
		}
	}
	switch {
	case levels > 0 && len(f.levelsWithin) == levels: // as in most pods
		items = append(items, [2]*ast.Term{levelsWithin, allLevels})
	case len(f.levelsWithin) > 0:
		items = append(items, [2]*ast.Term{levelsWithin, setOf(f.levelsWithin)})
	}
	return ast.NewObject(items...)
}

func setOf(values []Value) *ast.Term {
	if len(values) == 1 {
		if set, ok := commonSets[values[0]]; ok {
			return set
		}
	}
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = v.term()
	}
	return ast.SetTerm(terms...)
}

// distinct collects values without repetition. It looks through the few that a
// pod has; a map takes over where there are many, as in a pod made to keep us
// busy.
type distinct struct {
	values []Value
	index  map[Value]struct{}
}

const fewValues = 16

func (d *distinct) reset() {
	d.values, d.index = d.values[:0], nil
}

func (d *distinct) add(v Value) {
	if d.index == nil {
		for i := range d.values {
			if d.values[i] == v {
				return
			}
		}
		if d.values = append(d.values, v); len(d.values) > fewValues {
			d.index = make(map[Value]struct{}, 2*fewValues)
			for _, known := range d.values {
				d.index[known] = struct{}{}
			}
		}
		return
	}
	if _, known := d.index[v]; !known {
		d.index[v] = struct{}{}
		d.values = append(d.values, v)
	}
}
