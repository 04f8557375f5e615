package server

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"
)

// serializer writes answers with the successor of encoding/json: most of a session is a user that goes
// through as it came, which the predecessor reads once more, letter by letter.
type serializer struct{ echo.DefaultJSONSerializer }

// Serialize implements echo.JSONSerializer.
func (serializer) Serialize(c echo.Context, v any, _ string) error {
	body, err := json.Marshal(v, jsontext.EscapeForHTML(true), jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		return err // before anything was written
	}
	_, err = c.Response().Write(body)
	return err
}
