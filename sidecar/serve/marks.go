package serve

import (
	"sync"
	"time"

	"github.com/debugsidecar/debugsidecar/sidecar/warn"
)

// marksKept is how many marks are remembered.
const marksKept = 256

// Mark is where in the picture something is, and when.
type Mark struct {
	At time.Time `json:"ts"`
	// Box is left, top, width and height as shares of the picture's; all of it
	// is 0 0 1 1.
	Box   [4]float64 `json:"bbox"`
	Label string     `json:"label"`
}

// marks are the last ones, the oldest first.
type marks struct {
	mu   sync.Mutex
	list []Mark
	// place is where the picture of the stream placeOf is damaged; all 0: nowhere.
	place   [4]float64
	placeOf string
}

// Mark adds a mark to those of /api/v1/marks. Its box is cut to the picture.
func (s *Server) Mark(m Mark) { s.marks.add(m) }

func (m *marks) add(mark Mark) {
	b := &mark.Box
	b[0], b[1] = clamp(b[0], 0, 1), clamp(b[1], 0, 1)
	b[2], b[3] = clamp(b[2], 0, 1-b[0]), clamp(b[3], 0, 1-b[1])
	mark.At = mark.At.UTC()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == marksKept {
		m.list = append(m.list[:0], m.list[1:]...)
	}
	m.list = append(m.list, mark)
}

// Place says where the picture of a stream is damaged from now on: there its alerts
// are marked. All 0 is nowhere.
func (s *Server) Place(stream string, box [4]float64) {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	s.marks.placeOf, s.marks.place = stream, box
}

// alert marks the damaged part of the picture, or all of it: mostly a stream's
// trouble has no place in it.
func (m *marks) alert(a warn.Alert) {
	box := [4]float64{0, 0, 1, 1}
	m.mu.Lock()
	if m.place != ([4]float64{}) && m.placeOf == a.Stream.Key() && a.Kind != warn.Clear {
		box = m.place
	}
	m.mu.Unlock()
	m.add(Mark{At: a.At, Box: box, Label: a.String()})
}

func (m *marks) since(t time.Time) []Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Mark{}
	for _, mark := range m.list {
		if !mark.At.Before(t) {
			list = append(list, mark)
		}
	}
	return list
}
