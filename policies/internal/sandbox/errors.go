package sandbox

import "fmt"

// Reason says why an evaluation came to no answer.
type Reason string

// The reasons.
const (
	Time   Reason = "time"   // it took too long
	Memory Reason = "memory" // it took too much memory
	Size   Reason = "size"   // its input or result was too large
	Failed Reason = "error"  // a rule made an error, such as to_number("x")
)

// UndecidedError says that an evaluation came to no answer.
type UndecidedError struct {
	Reason Reason
	Detail string // for people
}

func (e *UndecidedError) Error() string { return e.Detail }

func undecided(r Reason, format string, args ...any) *UndecidedError {
	return &UndecidedError{r, fmt.Sprintf(format, args...)}
}
