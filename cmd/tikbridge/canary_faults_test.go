package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/tikbridge/tikbridge/test/faulty"
)

const (
	// tooLarge is more than the bridge reads of any answer.
	tooLarge = "too large"
	hang     = "hang"
)

// readsLarge are the calls that meet what is too large. It is read in one place, whatever the call, so one of each
// client is enough for each test.
var readsLarge = []faulty.Call{faulty.Token, faulty.Verify, faulty.Refresh, faulty.User, faulty.IDToken}

// faults are the ways in which an upstream fails. Each tells as much as it can.
var faults = map[string]func(planted) faulty.Fault{
	"400 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusBadRequest, p) },
	"401 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusUnauthorized, p) },
	"422 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusUnprocessableEntity, p) },
	"200 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusOK, p) },
	"429 that quotes": func(p planted) faulty.Fault {
		return with(http.Header{"Retry-After": {p.hash()}}, quotes(http.StatusTooManyRequests, p))
	},
	"503 that quotes": func(p planted) faulty.Fault { return quotes(http.StatusServiceUnavailable, p) },
	"500 with the request": func(planted) faulty.Fault {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			dump, _ := httputil.DumpRequest(r, true)
			faulty.Respond(
				http.StatusInternalServerError, "text/plain", "panic in handler of "+string(dump),
			)(w, r, next)
		}
	},
	"500 as a page": func(p planted) faulty.Fault {
		return faulty.Respond(http.StatusInternalServerError, "text/html", "<h1>"+p.everything()+"</h1>")
	},
	"code in a header": func(p planted) faulty.Fault {
		return with(
			http.Header{"X-Sb-Error-Code": {"bad token " + p.hash()}}, faulty.Respond(http.StatusForbidden, "", ""),
		)
	},
	"302": func(p planted) faulty.Fault { return away(http.StatusFound, p) },
	"307": func(p planted) faulty.Fault { return away(http.StatusTemporaryRedirect, p) },
	"redirect nowhere": func(p planted) faulty.Fault {
		return faulty.Redirect(http.StatusFound, "http://%zz/"+p.access())
	},
	"half of a JSON": func(p planted) faulty.Fault {
		return text(fmt.Sprintf(
			`{"access_token":%q,"hashed_token":%q,"user":{"email":%q`, p.access(), p.hash(), p.email(),
		))
	},
	"no JSON": func(p planted) faulty.Fault { return text(p.everything()) },
	"JSON of other types": func(p planted) faulty.Fault {
		return answer(
			http.StatusOK,
			map[string]any{
				p.hash(): 1, "access_token": p.all(), "hashed_token": p.all(), "user": p.name(), "id": p.all(),
				"error": p.all(),
			},
		)
	},
	"ids that are none": func(p planted) faulty.Fault {
		urn := strings.Repeat("c", 3) + "canary" + strings.Repeat("x", 36) // as long as urn:uuid:...
		return answer(
			http.StatusOK,
			map[string]any{
				"id": urn, "user": map[string]any{"id": urn}, "data": map[string]any{"user": urn},
				"hashed_token": p.hash(),
			},
		)
	},
	"times that are none": func(p planted) faulty.Fault {
		return answer(
			http.StatusOK,
			map[string]any{
				"id": p.userID(), "created_at": p.access(), "expires_in": p.access(),
				"user": map[string]any{"id": p.userID(), "created_at": p.goAccess()},
			},
		)
	},
	tooLarge: func(p planted) faulty.Fault {
		return text(`{"error":"` + strings.Repeat(p.everything(), 17<<20/len(p.everything())) + `"}`)
	},
	"cut short": func(p planted) faulty.Fault {
		return with(http.Header{"Content-Length": {"100000"}}, text(p.everything()))
	},
	"reset":          func(planted) faulty.Fault { return faulty.Reset },
	"no HTTP":        func(p planted) faulty.Fault { return faulty.Raw(p.everything() + "\r\n\r\n") },
	"no HTTP status": func(p planted) faulty.Fault { return faulty.Raw("HTTP/1.1 " + p.hash() + " OK\r\n\r\n") },
	"no HTTP header": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\n" + p.hash() + " " + p.goRefresh() + "\r\n\r\n")
	},
	"no HTTP length": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\nContent-Length: " + p.hash() + "\r\n\r\n")
	},
	"no HTTP encoding": func(p planted) faulty.Fault {
		return faulty.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + p.hash() + "\r\n\r\n")
	},
	"no HTTP chunk": func(p planted) faulty.Fault {
		const head, end = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\n0\r\n\r\n"
		return faulty.Raw(head + p.hash() + "\r\n" + p.hash() + end)
	},
	hang: func(planted) faulty.Fault { return faulty.Hang },
}

// ambiguous are the faults that look like an answer to some endpoints.
var ambiguous = []string{"200 that quotes", "JSON of other types", "ids that are none", "times that are none"}

// quotes is an error of TikTok and of GoTrue at once, with secrets in every text.
func quotes(status int, p planted) faulty.Fault {
	text := "refused: " + p.everything()
	return answer(status, map[string]any{
		"error": text, "error_description": text, "log_id": text, "code": text, "error_code": text, "msg": text,
		"message":       text,
		"weak_password": map[string]any{"message": text, "reasons": p.all()},
	})
}

func away(status int, p planted) faulty.Fault {
	return faulty.Redirect(status, "/followed?"+url.Values{"code": {p.code()}, "token": p.all()}.Encode())
}

func answer(status int, v any) faulty.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { send(w, status, v) }
}

// text is a good answer by its status alone.
func text(body string) faulty.Fault { return faulty.Respond(http.StatusOK, "text/plain", body) }

// with adds headers to an answer.
func with(h http.Header, f faulty.Fault) faulty.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		maps.Copy(w.Header(), h)
		f(w, r, next)
	}
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
