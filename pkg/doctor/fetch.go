package doctor

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// answer is what an address answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks an address and sends it no secret.
func get(ctx context.Context, o Options, address string, header http.Header) (answer, error) {
	const timeout, maxBody = 10 * time.Second, 1 << 20
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return answer{}, errors.New("it is not an address")
	}
	req.Header = header.Clone()
	req.Header.Set("User-Agent", "tikbridge")
	resp, err := upstream.NewClient(o.Transport).Do(req)
	if err != nil {
		return answer{}, upstream.NoAnswer(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := upstream.ReadBody(resp, maxBody)
	if err != nil {
		return answer{}, upstream.NoAnswer(err)
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}
