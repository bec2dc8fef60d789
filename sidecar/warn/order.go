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
	// depth is how far it swings back, in frames; 0 where pictures come in order.
	depth float64
	// widest is how far it ever did, often how often it does: a packet that was
	// overtaken makes it swing, too, but seldom.
	widest, often float64
	waits         bool
}

const (
	orderSamples = 16
	orderFade    = 0.996
	// orderWait is how many samples the difference has to stay where pictures do
	// come out of order, orderBefore how many before are looked at.
	orderWait   = 3
	orderBefore = 8
	// maxOrder is how many pictures may come before one that is shown earlier.
	maxOrder = 5
	// swinging is the depth from which on a stream is out of order, oftenEnough the
	// share of samples in which it has to swing.
	swinging    = 0.7
	oftenEnough = 0.06
	oftenFade   = 1.0 / 64
)

func (o *order) begin() { *o = order{depth: o.depth, widest: o.widest, often: o.often} }

func (o *order) ago(n int) float64 { return o.owed[(o.count-1-n)%orderSamples] }

// add takes how far the media went and how many pictures came. It returns how
// many are missing, and how many samples ago that was. If it is to wait, it says
// so only at the next sample.
func (o *order) add(ahead, frames float64, wait bool) (missing float64, ago int) {
	o.now += ahead - frames
	o.owed[o.count%orderSamples] = o.now
	o.count++
	if o.depth >= swinging {
		ago = orderWait
	} else if o.waits {
		ago = 1
	}
	if o.waits = wait && ago == 0; o.waits {
		return 0, 0
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
	swing := min(highest-o.now, maxOrder)
	if o.depth >= swinging {
		highest = max(highest, lowest+o.depth)
	}
	o.widest = max(o.widest*orderFade, swing)
	o.often *= 1 - oftenFade
	if swing >= swinging {
		o.often += oftenFade
	}
	if o.depth = 0; o.often >= oftenEnough {
		o.depth = o.widest
	}
	return after - highest, ago
}

// grown returns by how many pictures too few came over all samples remembered.
func (o *order) grown() float64 {
	if o.count < orderSamples {
		return 0
	}
	return o.now - o.ago(orderSamples-1)
}
