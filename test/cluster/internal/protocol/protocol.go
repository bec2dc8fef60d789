// Package protocol is what a cluster with a node and the processes that hold it
// say to each other.
//
// The keeper stays in the namespaces of whoever started it. It starts init, the
// first process of the node's namespaces, which starts all others. The caller
// writes Start values to init and reads Event values from both, as lines of JSON.
package protocol

// Files that the keeper and init get besides their standard ones.
const (
	Commands = 3 // Start values; the node ends where they do
	Events   = 4 // Event values
	Relay    = 5 // a listener outside, for connections to Setup.Relay
)

// Short is where Setup.Dir's directory node is, too, within the node: a path of
// a socket may have only some 100 characters.
const Short = "/run/debugsidecar"

// Orderly is written to the keeper's standard input by a caller who ends the
// node and removes its directory himself, or keeps it. Where the input ends
// without, the caller died.
const Orderly = "orderly"

// Setup says how a node is made. It is the argument of keeper and init, as JSON.
type Setup struct {
	Name      string // of the host
	Address   string // of the node, with its prefix's length
	Dir       string // of the cluster
	Temporary bool   // Dir is removed if the caller dies
	Cgroup    string // name of a new cgroup below each hierarchy's root
	Relay     string // address in the node's network namespace
	DNS       string // address at which pods ask for names of Services
	API       API    // whom DNS asks
}

// API is how to ask the API server: its address and files.
type API struct{ URL, CA, Certificate, Key string }

// Start asks init to start a program.
type Start struct {
	Name   string // argument 0
	Binary string
	Args   []string
	Env    []string
	Log    string // file of its output
}

// Event is one of these.
type Event struct {
	Init    int    `json:",omitempty"` // init's process, as the caller knows it
	Ready   bool   `json:",omitempty"` // the namespaces are made
	Started string `json:",omitempty"` // name of a program
	Ended   string `json:",omitempty"` // name of a program, with Status
	Status  string `json:",omitempty"`
	Failed  string `json:",omitempty"` // why the node can't be made, or Started could not
	Missing bool   `json:",omitempty"` // what Failed is that this machine lacks something
}
