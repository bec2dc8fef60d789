// Package processlist keeps secrets in a program's arguments from who lists the
// processes: /proc/PID/cmdline is for everyone, while the environment is not.
package processlist

import (
	"strings"
	"unsafe"
)

// Mask writes over the arguments that mask changes, in the memory that the kernel
// shows as this process's command line, and puts copies of what they were into
// args. It is for os.Args alone, whose strings are that memory
// (runtime.goargs), and for a program's first moment: nobody else may have
// kept one of them.
func Mask(args []string, mask func(string) string) {
	for i, arg := range args {
		shown := mask(arg)
		if shown == arg {
			continue
		}
		args[i] = strings.Clone(arg)
		memory := unsafe.Slice(unsafe.StringData(arg), len(arg))
		for j := copy(memory, shown); j < len(memory); j++ {
			memory[j] = ' '
		}
	}
}
