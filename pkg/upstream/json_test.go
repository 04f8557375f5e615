package upstream_test

import (
	"testing"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, answer, want string }{
		{"plain", `{"name":"Mira \u003c3"}`, "Mira <3"},
		{"half an emoji", `{"name":"Mira \ud83d"}`, "Mira \ufffd"},
		{"no UTF-8", "{\"name\":\"Mira \xff\"}", "Mira \ufffd"},
		{"null", `{"name":null}`, ""},
		{"another case", `{"NAME":"Mira"}`, ""},
		{"twice", `{"name":"Mira","name":"Noor"}`, "Noor"},
		{"members that nobody asked for", ` {"deep":[{"name":"x"},[[1e9]]],"name":"Mira"} `, "Mira"},
		{"wrong type", `{"name":1}`, "error"},
		{"cut off", `{"name":"Mira"`, "error"},
		{"more than one", `{"name":"Mira"}{}`, "error"},
		{"no JSON", `<html>`, "error"},
		{"nothing", ``, "error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v struct {
				Name string `json:"name"`
			}
			got := "error"
			if upstream.Decode([]byte(tt.answer), &v) == nil {
				got = v.Name
			}
			if got != tt.want {
				t.Errorf("Decode(%s) = %q; want %q", tt.answer, got, tt.want)
			}
		})
	}
}
