package v4l2

// One object for every little-endian machine: nothing in the programs depends
// on the processor.
//
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -cflags "-O2 -g -Wall -Werror -mcpu=v3" -type event probe v4l2.bpf.c
