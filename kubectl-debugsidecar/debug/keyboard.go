package debug

import (
	"context"
	"io"
	"sync"
)

// keyboard reads what is typed, once, for any number of connections one after the
// other: a read that waits can't be taken back, so what it gets would be lost with
// the connection for which it began.
type keyboard struct {
	in     io.Reader
	begin  sync.Once
	chunks chan []byte // closed at the end of the input

	mu   sync.Mutex
	rest []byte
}

func newKeyboard(in io.Reader) *keyboard {
	return &keyboard{in: in, chunks: make(chan []byte)}
}

func (k *keyboard) read() {
	defer close(k.chunks)
	for {
		buffer := make([]byte, 4096)
		n, err := k.in.Read(buffer)
		if n > 0 {
			k.chunks <- buffer[:n]
		}
		if err != nil {
			return
		}
	}
}

// during is the input for one connection; it ends with ctx.
func (k *keyboard) during(ctx context.Context) io.Reader { return &keys{k, ctx} }

type keys struct {
	k   *keyboard
	ctx context.Context
}

func (r *keys) Read(p []byte) (int, error) {
	k := r.k
	k.begin.Do(func() { go k.read() })
	if r.ctx.Err() != nil {
		return 0, io.EOF
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.rest) == 0 {
		select {
		case <-r.ctx.Done():
			return 0, io.EOF
		case chunk, ok := <-k.chunks:
			if !ok {
				return 0, io.EOF
			}
			k.rest = chunk
		}
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}
