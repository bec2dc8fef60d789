// Package podbytes makes pods from bytes and back, for fuzzing.
//
// The bytes are a walk through core/v1.PodSpec, by reflection: in a struct, a
// byte chooses the field that is set next and zero ends the struct; a list grows
// by one each time its field is chosen; a string or number is an index into
// values that matter for its field, or spelled out. So a changed byte is another
// pod that is nearly the same, a field that the API gains is reached without a
// change here, and all bytes are some pod: where they end, all else is unset.
package podbytes
