package warn

import "github.com/debugsidecar/debugsidecar/sidecar/sample"

// socket turns what the kernel says of a receive queue into bytes of the stream.
//
// The kernel counts the memory that packets take, which is up to several times
// their length, by driver and size. While nothing is read, the queue grows by
// just what arrives, counted in that way: the largest ratio seen is the factor.
type socket struct {
	known          bool
	queue          float64 // as the kernel says
	factor         float64
	grown, arrived float64
	idle           int
}

// ratioSamples is over how many samples of growth the ratio is taken.
const ratioSamples = 3

// bytes returns how many of the stream's bytes wait.
func (q *socket) bytes(s *sample.Sample, h *History) float64 {
	if !s.Socket.Known {
		*q = socket{}
		return 0
	}
	now := float64(s.Socket.Queue)
	if q.factor == 0 {
		q.factor = max(h.factor, 1)
	}
	if q.known && now > q.queue && s.Media.Bytes > 0 {
		q.grown += now - q.queue
		q.arrived += float64(s.Media.Bytes)
		if q.idle++; q.idle >= ratioSamples {
			if ratio := q.grown / q.arrived; ratio > q.factor*1.05 && ratio < 20 {
				q.factor, h.factor = ratio, ratio
			}
			q.grown, q.arrived, q.idle = 0, 0, 0
		}
	} else {
		q.grown, q.arrived, q.idle = 0, 0, 0
	}
	q.known, q.queue = true, now
	return now / q.factor
}
