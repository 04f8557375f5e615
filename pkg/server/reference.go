package server

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/static"
)

// registerReference adds the API reference of tikbridge dev: the OpenAPI document, and the page that
// is made from it.
func registerReference(get func(string, echo.HandlerFunc)) error {
	document, err := static.Files.ReadFile("reference/openapi.yaml")
	if err != nil {
		return err
	}
	page, err := static.Files.ReadFile("reference/index.html")
	if err != nil {
		return err
	}
	style, err := static.Files.ReadFile("reference/reference.css")
	if err != nil {
		return err
	}
	policy := contentPolicy([]string{"'self'"}, nil, nil)
	get("/api", func(c echo.Context) error {
		c.Response().Header().Set("Content-Security-Policy", policy)
		return c.HTMLBlob(http.StatusOK, page)
	})
	get("/api/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml; charset=utf-8", document) // RFC 9512
	})
	get("/api/reference.css", func(c echo.Context) error {
		return c.Blob(http.StatusOK, contentType("reference.css"), style)
	})
	return nil
}
