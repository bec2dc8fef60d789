package rtp

// videoRate is the clock rate of all video (RFC 3551, section 5).
const videoRate = 90000

// clockRates are those of RFC 3551, tables 4 and 5; what it leaves open is taken
// for video. 0 is what RTCP takes (RFC 5761, section 4).
var clockRates = func() (rates [128]uint32) {
	for i := range rates {
		rates[i] = videoRate
	}
	for pt, rate := range staticAudio {
		rates[pt] = rate
	}
	for pt := 64; pt < 96; pt++ {
		rates[pt] = 0
	}
	return rates
}()

var staticAudio = map[uint8]uint32{
	0: 8000, 3: 8000, 4: 8000, 5: 8000, 6: 16000, 7: 8000, 8: 8000, 9: 8000, 10: 44100, 11: 44100, 12: 8000,
	13: 8000, 15: 8000, 16: 11025, 17: 22050, 18: 8000,
}

// assumed says whether nobody told the clock rate of a payload type.
func assumed(pt uint8) bool {
	switch pt {
	case 14, 25, 26, 28, 31, 32, 33, 34: // video at 90 kHz
		return false
	}
	_, static := staticAudio[pt]
	return !static
}
