// Package protocol is what a virtual machine's first process and the one who
// started the machine have to agree on.
package protocol

// Lines on the machine's console begin with these.
const (
	Booted    = "@@booted"
	Begin     = "@@begin"     // NAME
	End       = "@@end"       // NAME STATUS DURATION; STATUS is 0 or an error
	Broken    = "@@broken"    // why nothing more runs
	Complaint = "@@complaint" // what the kernel complained about
)

// Files in the machine's first file system.
const (
	ModulesFile = "modules.list" // a path a line, in the order of loading
	TestsFile   = "tests.list"   // a command a line, its words separated by tabs
	LazyDir     = "lazy"         // a folder for each module that tests load
)

// EnvLazyModules names LazyDir for tests. It has a folder for each module; the
// files in it are to be loaded in the order of their names.
const EnvLazyModules = "VM_LAZY_MODULES"
