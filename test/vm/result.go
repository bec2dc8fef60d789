package vm

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/debugsidecar/debugsidecar/test/vm/protocol"
)

// Result is what became of the tests under one kernel.
type Result struct {
	// Release is the kernel's, as uname -r.
	Release string
	// Boot is the time until the first process had loaded all modules, Total
	// that until the machine was off.
	Boot, Total time.Duration
	Packages    []Package
	// Complaints are the kernel's own warnings and bugs.
	Complaints []string
}

// Package is what became of one package's tests.
type Package struct {
	Name   string
	Passed bool
	Tests  []Test
	Output []string
}

// Outcome of a test.
type Outcome string

// Outcomes, as go test names them.
const (
	Pass Outcome = "PASS"
	Fail Outcome = "FAIL"
	Skip Outcome = "SKIP"
)

// Test is one test or subtest.
type Test struct {
	Name    string
	Outcome Outcome
}

// Summary is one line: what was run, and how it went.
func (r *Result) Summary() string {
	count := map[Outcome]int{}
	var skipped []string
	for _, p := range r.Packages {
		for _, t := range p.Tests {
			count[t.Outcome]++
			if t.Outcome == Skip {
				skipped = append(skipped, t.Name)
			}
		}
	}
	names := ""
	if len(skipped) > 0 {
		names = " (" + strings.Join(skipped, ", ") + ")"
	}
	return fmt.Sprintf("kernel %s: %d passed, %d skipped%s, %d failed, boot %.0f s, total %.0f s",
		r.Release, count[Pass], count[Skip], names, count[Fail], r.Boot.Seconds(), r.Total.Seconds())
}

// parser reads the console.
type parser struct {
	result Result
	start  time.Time
	inside bool // a package's tests are running
	broken string
	last   []string
}

var outcomeLine = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(`)

func (p *parser) line(line string) {
	const remembered = 60
	p.last = append(p.last, line)
	if len(p.last) > remembered {
		p.last = p.last[1:]
	}
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case protocol.Booted:
		p.result.Boot = time.Since(p.start)
		return
	case protocol.Begin:
		p.result.Packages = append(p.result.Packages, Package{Name: rest})
		p.inside = true
		return
	case protocol.End:
		if fields := strings.Fields(rest); p.inside && len(fields) > 1 {
			p.current().Passed = fields[1] == "0"
		}
		p.inside = false
		return
	case protocol.Broken:
		p.broken = rest
		return
	case protocol.Complaint:
		p.result.Complaints = append(p.result.Complaints, rest)
		return
	}
	if !p.inside {
		return
	}
	p.current().Output = append(p.current().Output, line)
	if m := outcomeLine.FindStringSubmatch(line); m != nil {
		p.current().Tests = append(p.current().Tests, Test{m[2], Outcome(m[1])})
	}
}

func (p *parser) current() *Package { return &p.result.Packages[len(p.result.Packages)-1] }

func (p *parser) tail() string { return strings.Join(p.last, "\n") }
