package trust

import (
	"context"
	"strings"
	"time"
)

const (
	// warmEvery is how often the administrator's images are looked at unasked, so
	// that no pod waits for a registry, and replicas know the same.
	warmEvery = time.Minute
	// warmAgain is after what time a signature is looked for again. What is believed
	// for an hour is then never older than that, and half an hour of a registry's
	// outage goes unnoticed.
	warmAgain = trustFor / 2
	// warmLook is how often it is looked whether the configuration changed.
	warmLook = 2 * time.Second
)

// Warm looks at images in good time until ctx ends. Images gives those that the
// configuration names, with its policy; nil if image trust is off.
func (c *Checker) Warm(ctx context.Context, images func() (*Policy, []string)) {
	tick := time.NewTicker(warmLook)
	defer tick.Stop()
	var before string
	var last time.Time
	for {
		if p, named := images(); p != nil {
			now := p.id + " " + strings.Join(named, " ")
			if now != before || c.now().Sub(last) >= warmEvery {
				before, last = now, c.now()
				for _, image := range named {
					c.warm(ctx, p, image)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Checker) warm(ctx context.Context, p *Policy, text string) {
	pinned, f := c.Resolve(ctx, p, text, Administrator)
	if f == nil {
		var ref image
		var r *registry
		if ref, r, f = p.find(pinned); f == nil {
			if by, age := c.lanes[Administrator].verifiedBy(p, ref.digest, c.now()); by != nil && age < warmAgain {
				return
			}
			f = c.verify(ctx, p, r, ref, pinned, Administrator)
		}
	}
	if f != nil && ctx.Err() == nil && c.complain.Allow() {
		c.log.Warn("an image of the configuration is not trusted", "image", pinned, "err", f)
	}
}
