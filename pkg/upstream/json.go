package upstream

import "encoding/json"

// Decode decodes an answer in JSON. After an error into may be filled in part: do not look at it.
func Decode(answer []byte, into any) error { return json.Unmarshal(answer, into) }
