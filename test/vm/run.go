package vm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/test/vm/protocol"
)

const qemu = "qemu-system-x86_64"

// limit is how long a machine may take in all. Emulated, it is some twenty times
// slower than the real one.
const limit = 15 * time.Minute

// Run boots a kernel and runs the tests of these packages there, one after the
// other, with these arguments for each. The machine's console goes to console,
// what takes long is reported line by line. It ends with ctx, with this process,
// and after a quarter of an hour.
//
// An error is that of the machine; it wraps ErrUnavailable if none can be had.
// Whether the tests passed is in the Result.
func (k Kernel) Run(ctx context.Context, packages, args []string, console io.Writer, report func(string)) (*Result, error) {
	if _, err := exec.LookPath(qemu); err != nil {
		return nil, fmt.Errorf("%w: there is no %s (apt-get install qemu-system-x86)", ErrUnavailable, qemu)
	}
	img, err := k.fetch(ctx, report)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := makeInitrd(ctx, img, k.Files, packages, args, dir, initrd); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	memory := "1024"
	if len(k.Files) > 0 {
		memory = "2048" // MiB; files take twice their size while the machine unpacks them
	}
	return boot(ctx, img, initrd, memory, len(packages), console)
}

// makeInitrd compiles the first process and the tests, and packs them.
func makeInitrd(ctx context.Context, img image, files map[string]string, packages, args []string, dir, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	for _, d := range []string{"proc", "sys", "dev", "tmp", "run", "tests", "modules", protocol.LazyDir} {
		a.dir(d)
	}
	init := filepath.Join(dir, "init")
	if err := compile(ctx, "build", "-o", init, "github.com/debugsidecar/debugsidecar/test/vm/init"); err != nil {
		return err
	}
	a.file("init", init)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		for i := range path {
			if path[i] == '/' {
				a.dir(path[:i]) // one that is there already stays
			}
		}
		a.file(path, files[path])
	}

	early, err := loadOrder(img.modules, modules)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, path := range early {
		a.file("modules/"+filepath.Base(path), path)
		fmt.Fprintf(&list, "/modules/%s\n", filepath.Base(path))
	}
	a.text(protocol.ModulesFile, list.String())
	for _, name := range lazy {
		later, err := loadOrder(img.modules, []string{name})
		if err != nil {
			return err
		}
		a.dir(protocol.LazyDir + "/" + name)
		for i, path := range later {
			a.file(fmt.Sprintf("%s/%s/%02d-%s", protocol.LazyDir, name, i, filepath.Base(path)), path)
		}
	}
	list.Reset()
	for _, p := range packages {
		name := nameOf(p)
		binary := filepath.Join(dir, name)
		if err := compile(ctx, "test", "-c", "-o", binary, p); err != nil {
			return err
		}
		if _, err := os.Stat(binary); err != nil {
			return fmt.Errorf("%s has no tests", p)
		}
		a.file("tests/"+name, binary)
		command := append([]string{"/tests/" + name, "-test.v", "-test.timeout=10m"}, args...)
		fmt.Fprintln(&list, strings.Join(command, "\t"))
	}
	a.text(protocol.TestsFile, list.String())
	return a.close()
}

// nameOf is a package's name in the machine: bpf/drop becomes bpf-drop.
func nameOf(pkg string) string { return strings.ReplaceAll(strings.TrimPrefix(pkg, "./"), "/", "-") }

func compile(ctx context.Context, command string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{command}, args...)...)
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s %s: %w\n%s", command, strings.Join(args, " "), err, out)
	}
	return nil
}

// root is where the packages' paths begin: the folder of go.mod.
func root() string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func boot(ctx context.Context, img image, initrd, memory string, packages int, console io.Writer) (*Result, error) {
	cmd := exec.CommandContext(ctx, qemu,
		// One thread for both processors: with a thread for each, QEMU 7.2 now and
		// then runs the half of an instruction that the kernel is patching (a static
		// key of the network's), and the machine panics.
		"-accel", "tcg,thread=single", "-cpu", "max", "-M", "q35", "-m", memory, "-smp", "2",
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", img.vmlinux, "-initrd", initrd,
		"-append", "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off nokaslr random.trust_cpu=on rdinit=/init")
	// The machine ends with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var failure strings.Builder
	cmd.Stderr = &failure
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := parser{result: Result{Release: img.release}, start: start}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		fmt.Fprintln(console, line)
		p.line(line)
	}
	err = errors.Join(lines.Err(), cmd.Wait(), ctx.Err())
	p.result.Total = time.Since(start)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %s\n%s", qemu, err, failure.String(), p.tail())
	case p.broken != "":
		return nil, fmt.Errorf("the machine: %s", p.broken)
	case len(p.result.Packages) != packages || p.inside:
		return nil, fmt.Errorf("the machine ended before its tests did\n%s", p.tail())
	}
	return &p.result, nil
}
