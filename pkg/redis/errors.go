package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
)

// errNoAnswer is not context.DeadlineExceeded: that one would be the caller's.
var errNoAnswer = errors.New("no answer in time")

// plain reduces an error to what a log may contain. Servers quote the command they do not know, and for
// AUTH that is the password.
func plain(ctx context.Context, err error) error {
	var network net.Error
	var connection *net.OpError
	var certificate *tls.CertificateVerificationError
	var noTLS tls.RecordHeaderError
	var reply redis.Error
	if over := contextError(ctx); over != nil {
		return over
	}
	switch {
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	case errors.As(err, &connection):
		return connection
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &noTLS):
		return errors.New("server speaks no TLS, which rediss:// asks for")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("server closes the connection: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return err
	case errors.As(err, &reply):
		return fmt.Errorf("server refuses with %q", replyCode(err))
	}
	return fmt.Errorf("answer cannot be read (%T)", err)
}

var codePattern = regexp.MustCompile(`^[A-Z]{2,32}\b`)

// replyCode returns the first word of an error that the server sent, such as "NOAUTH"; "" if it has none.
func replyCode(err error) string {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	return codePattern.FindString(reply.Error())
}

// contextError returns the error of a context that is over. A read that ends at the deadline of the context
// may be back before the timer of the context fires, so the clock counts too.
func contextError(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}
