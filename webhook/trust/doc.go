// Package trust says whether an image is signed by a key that the administrator
// trusts. It asks the image's registry, and no other host than those that the
// administrator lists: for which image that is, a tenant may have said.
//
// Signatures are made by keys, in one of two forms: cosign's own, under the tag
// sha256-<hex>.sig, or a sigstore bundle that refers to the image. Neither a
// certificate authority nor a transparency log is asked.
//
// Everything is bounded: time, sizes, how many requests run at once, and how long
// an answer is believed. Images of the administrator and images that tenants name
// have bounds of their own, so that these can't be used up by those.
package trust
