// Package frames has the frame sizes of real encodes.
//
// sizes.txt is written by go generate (it takes ffmpeg): one line a clip, with its
// name, then one word a frame in decoding order: its size in bytes, K before key
// frames, and +n after those that are shown n frame intervals later than they
// are sent (B-frames make that differ).
package frames

//go:generate sh -c "go run ./encode > sizes.new && mv sizes.new sizes.txt"

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Frame is one encoded picture, in decoding order.
type Frame struct {
	Size int
	Key  bool
	// Shift is how many frame intervals after its sending it is due.
	Shift int
}

// Clip is an encode.
type Clip struct {
	Name   string
	Frames []Frame
	// Mean is the mean size of key frames, and of others.
	MeanKey, MeanOther float64
	// Keys is the share of key frames.
	Keys float64
}

//go:embed sizes.txt
var sizes string

// Clips returns all clips, which are not to be changed.
var Clips = sync.OnceValues(func() ([]Clip, error) {
	var clips []Clip
	for _, line := range strings.Split(strings.TrimSpace(sizes), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		clip, err := parse(line)
		if err != nil {
			return nil, err
		}
		clips = append(clips, clip)
	}
	return clips, nil
})

func parse(line string) (Clip, error) {
	words := strings.Fields(line)
	clip := Clip{Name: words[0]}
	keys := 0
	for _, word := range words[1:] {
		var f Frame
		text, shift, shifted := strings.Cut(word, "+")
		text, f.Key = strings.CutPrefix(text, "K")
		var err error
		if f.Size, err = strconv.Atoi(text); err != nil {
			return Clip{}, fmt.Errorf("clip %s: %w", clip.Name, err)
		}
		if shifted {
			if f.Shift, err = strconv.Atoi(shift); err != nil {
				return Clip{}, fmt.Errorf("clip %s: %w", clip.Name, err)
			}
		}
		if f.Key {
			clip.MeanKey += float64(f.Size)
			keys++
		} else {
			clip.MeanOther += float64(f.Size)
		}
		clip.Frames = append(clip.Frames, f)
	}
	if keys == 0 || keys == len(clip.Frames) {
		return Clip{}, fmt.Errorf("clip %s: %d key frames of %d", clip.Name, keys, len(clip.Frames))
	}
	clip.MeanKey /= float64(keys)
	clip.MeanOther /= float64(len(clip.Frames) - keys)
	clip.Keys = float64(keys) / float64(len(clip.Frames))
	return clip, nil
}
