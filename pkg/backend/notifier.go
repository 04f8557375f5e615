package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tikbridge/tikbridge/pkg/signin"
	"github.com/tikbridge/tikbridge/pkg/upstream"
)

// WebhookService is the name of the receiver of events in logs, metrics and traces; callNotify is the call.
const (
	WebhookService = "webhook"
	callNotify     = "notify"
)

// Limits of a Notifier.
const (
	// maxWaiting is how many events may wait to be delivered.
	maxWaiting = 1000
	// maxSending is how many are sent at the same time.
	maxSending = 4
	// longestPause is the longest wait that a receiver may ask for by Retry-After.
	longestPause = time.Hour
)

// schedule has the pauses between the attempts for one event: that of Standard Webhooks, cut after half a day.
var schedule = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour,
}

// Event is something that TikTok told by webhook.
type Event struct {
	// ID is the message id. It is the same whenever TikTok tells of the same event, so that the receiver can
	// pass over a second delivery.
	ID string
	// Type is TikTok's name of the event, such as authorization.removed.
	Type string
	// OpenID is whom it is about; empty if TikTok does not say.
	OpenID string
	// Reason is why a grant ended, in a word; empty for other events.
	Reason string
	// CreateTime is when it happened.
	CreateTime time.Time
	// Content is what else TikTok says, in JSON; may be nil.
	Content json.RawMessage
}

// eventData is the data of an event's message.
type eventData struct {
	OpenID     string          `json:"open_id,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	CreateTime int64           `json:"create_time"` // Unix seconds
	Content    json.RawMessage `json:"content,omitempty"`
}

// Delivery is what became of an event.
type Delivery string

// The deliveries.
const (
	Delivered Delivery = "delivered"
	// Dropped: it found no place, or the bridge stopped before the receiver took it.
	Dropped Delivery = "dropped"
	// GaveUp: the receiver refused it for good, or at every attempt.
	GaveUp Delivery = "gave_up"
)

// Deliveries lists them all.
func Deliveries() []Delivery { return []Delivery{Delivered, Dropped, GaveUp} }

// NotifierOptions configure a Notifier.
type NotifierOptions struct {
	// URL is where events go, and Secret signs them.
	URL    string
	Secret signin.Secret
	// Timeout bounds each attempt. Default: 10 s.
	Timeout time.Duration
	// Transport defaults to one of upstream.NewTransport.
	Transport http.RoundTripper
	// Observer hears of every attempt. Default: none.
	Observer upstream.Observer
	// Ended hears what became of an event. Default: nobody.
	Ended func(Delivery)
	// Logger receives what goes wrong. Default: discarded.
	Logger *slog.Logger
}

// Notifier delivers events, in any order, each until the receiver has taken it. What waits is in memory: it
// outlives a restart of the receiver, but not one of the bridge. Safe for concurrent use.
type Notifier struct {
	opts     NotifierOptions
	endpoint *endpoint
	sending  chan struct{}

	mu         sync.Mutex
	closed     bool
	waiting    int
	deliveries sync.WaitGroup

	// closing is closed by Close and ends the waits; ending ends the attempts too, when Close has no more time.
	closing     chan struct{}
	ending      context.Context
	end         context.CancelFunc
	undelivered atomic.Int64
}

// NewNotifier returns a Notifier. Close it when done.
func NewNotifier(opts NotifierOptions) (*Notifier, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.Ended == nil {
		opts.Ended = func(Delivery) {}
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	to, err := newEndpoint(opts.URL, opts.Secret, endpointOptions{
		service: WebhookService, timeout: opts.Timeout, transport: opts.Transport, observer: opts.Observer,
	})
	if err != nil {
		return nil, fmt.Errorf("secret %w", err)
	}
	n := &Notifier{opts: opts, endpoint: to, sending: make(chan struct{}, maxSending), closing: make(chan struct{})}
	n.ending, n.end = context.WithCancel(context.Background())
	return n, nil
}

// Format keeps the secret out of anything that prints a notifier.
func (*Notifier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("backend.Notifier")) }

// Notify takes an event to deliver, and returns at once. It returns false if there is no place for it: whoever
// told of it should tell again later.
func (n *Notifier) Notify(ctx context.Context, e Event) bool {
	m, err := newMessage(e.ID, e.Type, n.endpoint.opts.now(), eventData{
		OpenID: e.OpenID, Reason: e.Reason, CreateTime: e.CreateTime.Unix(), Content: e.Content,
	})
	log := n.opts.Logger.With(slog.String("event", e.Type), slog.String("webhook_id", m.id))
	switch {
	case err != nil:
		log.LogAttrs(ctx, slog.LevelError, "event dropped: it cannot be encoded")
	case !n.enter():
		log.LogAttrs(ctx, slog.LevelError, "event dropped: too many wait to be delivered, or the bridge is stopping",
			slog.String("fix", "Let the receiver at webhook.url answer 2xx."))
	default:
		// The event outlives the request that told of it, and keeps its trace.
		ctx, stop := n.detach(ctx)
		go func() {
			defer n.leave()
			defer stop()
			n.deliver(ctx, log, m)
		}()
		return true
	}
	n.opts.Ended(Dropped)
	return false
}

// enter takes a place for an event, if there is one.
func (n *Notifier) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.waiting == maxWaiting {
		return false
	}
	n.waiting++
	n.deliveries.Add(1)
	return true
}

func (n *Notifier) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting--
	n.deliveries.Done()
}

func (n *Notifier) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(n.ending, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// deliver makes the attempts for one event.
func (n *Notifier) deliver(ctx context.Context, log *slog.Logger, m message) {
	for attempt := 0; ; attempt++ {
		a, err := n.attempt(ctx, m)
		switch {
		case err == nil && a.status < http.StatusMultipleChoices:
			n.opts.Ended(Delivered)
			log.LogAttrs(ctx, slog.LevelInfo, "event delivered", slog.Int("attempts", attempt+1))
			return
		case n.ending.Err() != nil:
			n.undelivered.Add(1)
			n.opts.Ended(Dropped)
			return
		case a.status == http.StatusGone, attempt == len(schedule):
			n.opts.Ended(GaveUp)
			log.LogAttrs(ctx, slog.LevelError, "event given up",
				append(outcome(a, err), slog.Int("attempts", attempt+1))...)
			return
		}
		next := max(schedule[attempt], min(upstream.RetryAfter(a.header, 0), longestPause))
		log.LogAttrs(ctx, slog.LevelWarn, "event not delivered",
			append(outcome(a, err), slog.Duration("next_attempt_in", next))...)
		if !pause(n.closing, next) {
			n.undelivered.Add(1)
			n.opts.Ended(Dropped)
			return
		}
	}
}

func (n *Notifier) attempt(ctx context.Context, m message) (answer, error) {
	select {
	case n.sending <- struct{}{}:
		defer func() { <-n.sending }()
		return n.endpoint.post(ctx, callNotify, m, true)
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// outcome is what a log needs to know of a failed attempt.
func outcome(a answer, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("upstream", WebhookService)}
	if a.status != 0 {
		attrs = append(attrs, slog.Int("upstream_status", a.status))
	}
	fix := "Let the receiver at webhook.url answer 2xx to an event, and 410 to have no more attempts."
	switch {
	case a.status == http.StatusUnauthorized:
		fix = "Set webhook.secret to the secret that the receiver checks with."
	case a.status >= http.StatusMultipleChoices && a.status < http.StatusBadRequest:
		fix = "Set webhook.url to the address that it redirects to."
	case err != nil && !errors.Is(err, upstream.ErrTooLarge):
		attrs = append(attrs, slog.String("cause", upstream.NoAnswer(err).Error()))
		fix = "Check webhook.url, and that this machine can reach it."
	}
	return append(attrs, slog.String("fix", fix))
}

// Close stops: attempts under way may end until ctx is done, and nothing waits for another. It returns an error
// that says how many events were not delivered, if any.
func (n *Notifier) Close(ctx context.Context) error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.closing)
	}
	n.mu.Unlock()
	stop := context.AfterFunc(ctx, n.end)
	defer stop()
	n.deliveries.Wait()
	n.end()
	if lost := n.undelivered.Load(); lost > 0 {
		return fmt.Errorf("%d events were not delivered to webhook.url", lost)
	}
	return nil
}
