package debug

import (
	"context"
	"errors"
)

func (o *options) debugCopy(ctx context.Context, c *client, f *facts, r *request) error {
	return errors.New("copies come next")
}

func (o *options) showCopy(ctx context.Context, c *client, f *facts, r *request) error {
	return errors.New("copies come next")
}
