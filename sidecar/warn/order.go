package warn

// order tells pictures that are missing from those that come out of order, as
// coders do with pictures that refer to later ones.
//
// It compares how far the media's time went with how many pictures came, in
// frames. Out of order the difference swings, and comes back to what it was; a
// picture that is missing leaves it higher for good.
type order struct {
	owed  [orderSamples]float64 // the difference, of the last samples
	count int
	now   float64
	// depth is how far it swings back, in frames.
	depth float64
}

const (
	orderSamples = 16
	orderFade    = 0.9998
	// orderWait is how many samples the difference has to stay where pictures do
	// come out of order, orderBefore how many before are looked at.
	orderWait   = 3
	orderBefore = 8
	// maxOrder is how many pictures may come before one that is shown earlier.
	maxOrder = 5
	// swinging is the depth from which on a stream is out of order.
	swinging = 0.7
)

func (o *order) begin() { *o = order{depth: o.depth} }

func (o *order) ago(n int) float64 { return o.owed[(o.count-1-n)%orderSamples] }

// add takes how far the media went and how many pictures came. It returns how
// many are missing, and how many samples ago that was.
func (o *order) add(ahead, frames float64) (missing float64, ago int) {
	o.now += ahead - frames
	o.owed[o.count%orderSamples] = o.now
	o.count++
	if o.depth >= swinging {
		ago = orderWait
	}
	if o.count < ago+2 {
		return 0, 0
	}
	after := o.now
	for i := range ago + 1 {
		after = min(after, o.ago(i))
	}
	highest, lowest := o.ago(ago+1), o.ago(ago+1)
	for i := ago + 2; i < min(o.count, ago+1+orderBefore); i++ {
		highest, lowest = max(highest, o.ago(i)), min(lowest, o.ago(i))
	}
	if o.depth >= swinging {
		highest = max(highest, lowest+o.depth)
	}
	o.depth = max(o.depth*orderFade, min(highest-o.now, maxOrder))
	return after - highest, ago
}

// grown returns by how many pictures too few came over all samples remembered.
func (o *order) grown() float64 {
	if o.count < orderSamples {
		return 0
	}
	return o.now - o.ago(orderSamples-1)
}
