// Package sandbox compiles and runs Rego that somebody else wrote, within
// bounds: such rules see their input and nothing else, always give the same
// answer for it, and end in time.
//
// Three things bound them together. No allowed built-in gives more than it was
// given, so a result grows only by steps of evaluation. Each step can be
// cancelled, and is, when the time is over or the heap has grown too much. And
// the size of texts bounds how long a built-in may take between two steps.
package sandbox
