package tiktoksim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// A test mints a code for one of the built-in people, without a browser.
func ExampleServer() {
	srv := httptest.NewServer(tiktoksim.New(tiktoksim.Options{}))
	defer srv.Close()

	res, err := http.Post(srv.URL+"/sim/codes", "application/json", strings.NewReader(
		`{"open_id": "`+tiktoksim.OpenIDMira+`", "redirect_uri": "http://127.0.0.1:8080/cb"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	fmt.Println(res.Status)
	// Output: 200 OK
}
