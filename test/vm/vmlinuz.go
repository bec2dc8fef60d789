package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// extract writes the kernel that a bzImage holds, an ELF file: QEMU boots that
// two and a half times as fast, since nothing is decompressed under emulation.
// The header is that of Documentation/arch/x86/boot.rst.
func extract(ctx context.Context, bzImage, to string) error {
	b, err := os.ReadFile(bzImage)
	if err != nil {
		return err
	}
	const (
		setupSects    = 0x1f1
		magic         = 0x202
		payloadOffset = 0x248
		payloadLength = 0x24c
		end           = 0x250
	)
	if len(b) < end || string(b[magic:magic+4]) != "HdrS" {
		return errors.New("not a Linux kernel")
	}
	sectors := int(b[setupSects])
	if sectors == 0 {
		sectors = 4
	}
	from := (sectors+1)*512 + int(binary.LittleEndian.Uint32(b[payloadOffset:]))
	length := int(binary.LittleEndian.Uint32(b[payloadLength:]))
	if length < 8 || from+length > len(b) {
		return errors.New("its payload is not in the file")
	}
	// Behind the compressed kernel is its size, so that the boot loader knows
	// how much memory it takes.
	return decompress(ctx, b[from:from+length-4], to)
}

var formats = []struct {
	magic   string
	program string
	args    []string
}{
	{"\xfd7zXZ\x00", "xz", []string{"-dc", "--single-stream"}},
	{"\x28\xb5\x2f\xfd", "zstd", []string{"-dcq"}},
	{"\x1f\x8b", "gzip", []string{"-dc"}},
}

func decompress(ctx context.Context, b []byte, to string) error {
	for _, f := range formats {
		if !bytes.HasPrefix(b, []byte(f.magic)) {
			continue
		}
		if _, err := exec.LookPath(f.program); err != nil {
			return fmt.Errorf("%w: there is no %s", ErrUnavailable, f.program)
		}
		out, err := os.Create(to)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, f.program, f.args...)
		var failure bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(b), out, &failure
		err = cmd.Run()
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return fmt.Errorf("%s: %w: %s", f.program, err, failure.Bytes())
		}
		return nil
	}
	return fmt.Errorf("compressed in an unknown way: % x", b[:min(8, len(b))])
}

// copyModule writes a module as the kernel takes it, whatever its compression.
func copyModule(ctx context.Context, from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, []byte("\x7fELF")) {
		return os.WriteFile(to, b, 0o644)
	}
	return decompress(ctx, b, to)
}
