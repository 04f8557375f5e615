package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// decode reads one JSON object with these fields. Its errors name what is wrong and repeat no content.
func decode(r io.Reader, v any, fields string) error {
	body, err := io.ReadAll(r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return &signin.Error{Code: signin.InvalidRequest, Message: "The request body did not arrive whole."}
	}
	if err = json.Unmarshal(body, v); err == nil {
		return nil
	}
	message := "The request body is not valid JSON."
	var typed *json.UnmarshalTypeError
	switch {
	case len(body) == 0:
		message = "The request body is empty; it must be a JSON object with " + fields + "."
	case errors.As(err, &typed) && typed.Field != "":
		message = fmt.Sprintf("The field %s must be a string.", typed.Field)
	case errors.As(err, &typed):
		message = "The request body must be a JSON object."
	}
	return &signin.Error{Code: signin.InvalidRequest, Message: message}
}
