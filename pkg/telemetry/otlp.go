package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// otlp sends spans to a collector: binary protobuf over HTTP (OpenTelemetry Protocol Specification,
// OTLP/HTTP), set up by the OTEL_EXPORTER_OTLP_* variables (OpenTelemetry docs: OTLP Exporter
// Configuration). It is the client of otlptrace in place of otlptracehttp, which would link gRPC: a
// third of the program, of the memory of an idle bridge a fifth.
type otlp struct {
	http    *http.Client
	url     string
	headers http.Header
	gzip    bool
}

// otlpSetting returns a variable of the exporter: the one for traces alone goes before the one for all.
func otlpSetting(name string) (key, value string) {
	for _, key = range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value = strings.TrimSpace(os.Getenv(key)); value != "" {
			break
		}
	}
	return key, value
}

// newOTLP reads the variables. Its errors name them and repeat no value that may be a key.
func newOTLP() (*otlp, error) {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	o := &otlp{headers: http.Header{"User-Agent": {"tikbridge"}, "Content-Type": {"application/x-protobuf"}}}

	key, endpoint := otlpSetting("ENDPOINT")
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		problem("%s is no http or https address; write it like http://collector:4318", key)
	} else if strings.Contains(key, "_TRACES_") {
		o.url = endpoint
	} else {
		o.url = u.JoinPath("v1/traces").String()
	}
	if key, protocol := otlpSetting("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		problem("%s is %q; the bridge speaks http/protobuf, which collectors take at port 4318", key, protocol)
	}
	if key, headers := otlpSetting("HEADERS"); headers != "" && !o.addHeaders(headers) {
		problem("%s cannot be read; write it like name=value,name=value, with %%2C for a comma in a value", key)
	}
	key, compression := otlpSetting("COMPRESSION")
	switch compression {
	case "gzip":
		o.gzip = true
		o.headers.Set("Content-Encoding", "gzip")
	case "", "none":
	default:
		problem("%s is %q; the bridge knows gzip and none", key, compression)
	}
	timeout := 10 * time.Second
	if key, ms := otlpSetting("TIMEOUT"); ms != "" {
		n, err := strconv.Atoi(ms)
		if err != nil || n <= 0 {
			problem("%s is %q; write it in milliseconds, like 10000", key, ms)
		}
		timeout = time.Duration(n) * time.Millisecond
	}
	secure, err := otlpTLS()
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	transport := upstream.NewTransport()
	transport.TLSClientConfig = secure
	o.http = upstream.NewClient(transport) // follows no redirect: the headers may hold a key
	o.http.Timeout = timeout
	return o, nil
}

// addHeaders reads a list such as name=value,name=value, where values are percent-encoded.
func (o *otlp) addHeaders(list string) bool {
	for pair := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(value)
		if !ok || err != nil || name == "" || strings.ContainsAny(name, " \t:") {
			return false
		}
		o.headers.Set(name, strings.TrimSpace(value))
	}
	return true
}

// otlpTLS returns what the variables say of certificates; nil if they say nothing.
func otlpTLS() (*tls.Config, error) {
	rootKey, roots := otlpSetting("CERTIFICATE")
	certKey, cert := otlpSetting("CLIENT_CERTIFICATE")
	_, key := otlpSetting("CLIENT_KEY")
	if roots == "" && cert == "" && key == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		c.RootCAs = x509.NewCertPool()
		pem, err := os.ReadFile(roots) // #nosec G304 -- the operator's file
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s names no file with certificates in PEM", rootKey)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s and the CLIENT_KEY beside it name no certificate and its key in PEM", certKey)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Start implements otlptrace.Client.
func (*otlp) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (o *otlp) Stop(context.Context) error {
	o.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. What the collector had no time for is sent again, as the
// specification asks, until ctx is done but not for ever.
func (o *otlp) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := o.encode(spans)
	if err != nil {
		return err
	}
	const tries = 5
	wait := time.Second
	for try := 1; ; try++ {
		after, err := o.send(ctx, body, wait)
		if err == nil || after == 0 || try == tries {
			return err
		}
		t := time.NewTimer(after + rand.N(wait/2)) // #nosec G404 -- spreads load, guards nothing
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
		wait *= 2
	}
}

func (o *otlp) encode(spans []*tracepb.ResourceSpans) ([]byte, error) {
	// On the wire the same as an ExportTraceServiceRequest, whose package links gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil || !o.gzip {
		return body, err
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err = w.Write(body)
	err = errors.Join(err, w.Close())
	return zipped.Bytes(), err
}

// send sends the spans once. If they may be sent again it returns how long to wait before: wait, or
// what the collector says; 0 if they may not.
func (o *otlp) send(ctx context.Context, body []byte, wait time.Duration) (after time.Duration, _ error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = o.headers.Clone()
	resp, err := o.http.Do(req)
	if err != nil {
		return 0, upstream.NoAnswer(err)
	}
	defer func() { _ = resp.Body.Close() }()
	const most, soonest = 64 << 10, 100 * time.Millisecond
	answer, err := upstream.ReadBody(resp, most)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusBadGateway,
		resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusGatewayTimeout:
		return max(upstream.RetryAfter(resp.Header, wait), soonest), statusError(resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return 0, statusError(resp.StatusCode)
	case err != nil:
		return 0, upstream.NoAnswer(err)
	}
	if n := rejected(answer); n > 0 {
		return 0, fmt.Errorf("it takes all but %d spans", n)
	}
	return 0, nil
}

func statusError(status int) error {
	return fmt.Errorf("it answers %d %s", status, http.StatusText(status))
}

// rejected reads from an ExportTraceServiceResponse how many spans were not taken: field 1 of the message
// in its field 1. What the collector says of them stays behind.
func rejected(answer []byte) uint64 {
	partial, _ := field(answer, protowire.BytesType)
	_, n := field(partial, protowire.VarintType)
	return n
}

// field returns the value of field 1 of a message.
func field(message []byte, want protowire.Type) (bytes []byte, varint uint64) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			break
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			break
		}
		if number == 1 && kind == want {
			if want == protowire.VarintType {
				varint, _ = protowire.ConsumeVarint(message)
				return nil, varint
			}
			bytes, _ = protowire.ConsumeBytes(message)
			return bytes, 0
		}
		message = message[size:]
	}
	return nil, 0
}
