package trust

import (
	"fmt"
	"strings"
)

// Result is what came of a question about an image, in a word.
type Result string

// The results.
const (
	Verified    Result = "verified"
	Unsigned    Result = "unsigned"    // no signature by a trusted key
	Missing     Result = "missing"     // no such image
	Unpinned    Result = "unpinned"    // it has no digest
	Unlisted    Result = "unlisted"    // nobody may ask its registry
	Unreachable Result = "unreachable" // its registry did not answer, or not in time
	Malformed   Result = "malformed"   // it is no image's name
)

// Failure says why an image is not trusted.
type Failure struct {
	Result Result
	Image  string
	why    string
}

func (f *Failure) Error() string { return fmt.Sprintf("image %s: %s", shown(f.Image), f.why) }

// Fix says what would make it pass.
func (f *Failure) Fix() string {
	switch f.Result {
	case Unsigned:
		return fmt.Sprintf("sign it with a trusted key (cosign sign --key KEY %s), or use an image that is signed; imageTrust.keys in the chart's values has the keys", shown(f.Image))
	case Unpinned:
		return "name the image with its digest, as in IMAGE@sha256:..., or try again once its registry answers"
	case Unlisted:
		return "use an image of a registry that is in imageTrust.registries of the chart's values, or ask the cluster's administrator to list this one"
	case Unreachable:
		return "try again; if it stays, the cluster's administrator finds the cause in the webhook's log"
	default:
		return "name an image that exists"
	}
}

// final says whether asking again soon would give the same.
func (f *Failure) final() bool { return f.Result == Unsigned || f.Result == Missing }

// shown is an image's name as it goes into a sentence.
func shown(image string) string {
	if len(image) > 300 {
		image = image[:300] + "..."
	}
	return strings.ToValidUTF8(image, "?")
}

// TooMany is the failure of an image that is one too many.
func TooMany(image string, most int) *Failure {
	return &Failure{Unreachable, image, fmt.Sprintf("no more than %d images of one request are looked at", most)}
}
