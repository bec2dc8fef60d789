// Package policies judges pods by rules written in Rego.
//
// Every control of the Kubernetes Pod Security Standards is a rule, and so is
// what this project adds. A rule is a file in rules/ that opens with its own
// specification; its test stands beside it.
//
// A rule is one or more clauses in the package policies,
//
//	baseline contains ["hostPorts", port] if { … }
//
// one for each level and kind of fact that it refuses. The head holds the kind
// (facts.Kind) and the refused value; Go finds the places where that value stands
// and puts the metadata of the clause into words: allowed, fix and, where the
// usual words don't fit, has. In them {field}, {values}, {why} and any parameter,
// such as {hostPorts.allowed}, are filled in. Where a rule has clauses of both
// levels, those of restricted stand in for those of baseline at restricted, as
// with an overriding check of Pod Security.
//
// An [Evaluator] compiles the rules once and may be shared by any number of
// goroutines. It sees a pod as facts (package facts), never as raw JSON.
package policies
