// Build compiles the capture worker, or its tests, against Debian's OpenCV:
//
//	go run ./sidecar/capture/worker/build -o bin/debugsidecar-capture
//	go run ./sidecar/capture/worker/build -test -- -run Black
//
// The first time takes a minute of a processor, then gocv is in go's cache.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// packages are Debian's, with the least that gocv compiles against. That set
// has no opencv4.pc, so the flags of compiler and linker are below.
const packages = "g++ libopencv-{core,imgproc,imgcodecs,videoio,highgui,video,calib3d,objdetect,dnn,photo,features2d,stitching}-dev"

const headers = "/usr/include/opencv4"

// libraries are those that gocv refers to.
var libraries = strings.Fields("core imgproc imgcodecs videoio highgui video calib3d objdetect dnn photo features2d")

// replaced are functions of libc that gate.c replaces for all libraries. An
// executable does not export functions by itself.
var replaced = strings.Fields("sysconf connect sendto sendmsg")

const worker = "github.com/debugsidecar/debugsidecar/sidecar/capture/worker"

func main() {
	out := flag.String("o", "debugsidecar-capture", "where the program goes")
	tags := flag.String("tags", "", "more build tags, as matprofile")
	test := flag.Bool("test", false, "run the worker's tests instead; further arguments are go test's")
	flag.Parse()
	if _, err := os.Stat(headers); err != nil {
		fail(fmt.Errorf("OpenCV is missing: apt-get install --no-install-recommends %s", packages))
	}
	// netgo: names are resolved by Go. customenv: gocv takes our flags.
	all := "customenv,netgo,osusergo"
	if *tags != "" {
		all += "," + *tags
	}
	exports := make([]string, len(replaced))
	for i, f := range replaced {
		exports[i] = "-Wl,--export-dynamic-symbol=" + f
	}
	args := []string{"build", "-tags", all, "-ldflags", "-s -w -extldflags '" + strings.Join(exports, " ") + "'"}
	if *test {
		args[0] = "test"
		args = append(append(args, worker), flag.Args()...)
	} else {
		args = append(args, "-o", *out, worker)
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(),
		"CGO_ENABLED=1",
		"CGO_CPPFLAGS=-I"+headers,
		"CGO_CXXFLAGS=-O2 -g0 -std=c++11 -I"+headers,
		"CGO_LDFLAGS=-lopencv_"+strings.Join(libraries, " -lopencv_"),
	)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "building the capture worker: %v\n", err)
	os.Exit(1)
}
