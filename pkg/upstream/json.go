package upstream

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lenient allows what encoding/json allows and answers may have: TikTok may cut a name in the middle of
// an emoji.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// Decode decodes an answer in JSON. It is what becomes encoding/json/v2: it reads an answer once and not
// two or three times, which makes it two to four times as fast. Names of members must be exact. After an
// error into may be filled in part: do not look at it.
func Decode(answer []byte, into any) error { return json.Unmarshal(answer, into, lenient) }
