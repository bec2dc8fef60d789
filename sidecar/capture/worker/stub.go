//go:build !cgo || !customenv

// The capture worker, built without OpenCV: it only says how to build it with.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this capture worker was built without OpenCV; build it by: make worker")
	os.Exit(1)
}
