// Package audit judges the pods that run already, and says what it found.
//
// A namespace is read and judged by itself ([Scan]): a page of its pods at a
// time, and of a page one pod at a time, so that memory does not depend on how
// many pods there are or how large they are. Who judges is /validate's own code
// (admit.Deps.JudgeRunning).
//
// On the leader, [Auditor] does that on a timer and whenever a namespace's levels
// or the configuration change, and tells it as metrics and as a PolicyReport of
// each namespace ([Reports]). On the command line, a person does it with their
// own rights.
package audit
