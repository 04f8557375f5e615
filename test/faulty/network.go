package faulty

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
)

// Network is a network in memory, for tests whose time testing/synctest lets pass: sockets of the
// system would stop that time. Safe for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	open      atomic.Int64
}

// Listen opens an address, host:port.
func (n *Network) Listen(address string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	l := &listener{network: n, address: address, arriving: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

// Dial is for http.Transport.DialContext. An address where nobody listens refuses.
func (n *Network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, refused()
	}
	near, far := net.Pipe()
	wasReset := &atomic.Bool{}
	select {
	case l.arriving <- &conn{Conn: far, wasReset: wasReset, count: &n.open}:
		return &conn{Conn: near, wasReset: wasReset}, nil
	case <-l.closed:
		return nil, refused()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func refused() error { return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} }

// Open returns how many connections the listening side has open.
func (n *Network) Open() int { return int(n.open.Load()) }

type listener struct {
	network  *Network
	address  string
	arriving chan net.Conn
	closed   chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arriving:
		l.network.open.Add(1)
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.listeners[l.address] != l {
		return net.ErrClosed
	}
	delete(l.network.listeners, l.address)
	close(l.closed)
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.address) }

type address string

// Network implements net.Addr.
func (address) Network() string { return "tcp" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// conn is one end of a connection, with the errors of TCP.
type conn struct {
	net.Conn
	wasReset *atomic.Bool // by either end
	linger   atomic.Bool
	once     sync.Once
	count    *atomic.Int64
	closed   atomic.Bool
}

// SetLinger makes the next Close a reset, as net.TCPConn does for 0.
func (c *conn) SetLinger(int) error {
	c.linger.Store(true)
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closed.Store(true)
	if c.linger.Load() {
		c.wasReset.Store(true)
	}
	c.once.Do(func() {
		if c.count != nil {
			c.count.Add(-1)
		}
	})
	return c.Conn.Close()
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.of("read", err)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.of("write", err)
}

func (c *conn) of(op string, err error) error {
	switch {
	case err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe):
		return err
	case c.closed.Load():
		return net.ErrClosed
	case c.wasReset.Load():
		return &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET}
	case op == "write":
		return &net.OpError{Op: op, Net: "tcp", Err: syscall.EPIPE}
	}
	return err
}

// Detour is a transport that sends some calls to another address, such as one where nobody listens.
type Detour struct {
	Next http.RoundTripper
	// To returns the address, host:port; "" for the right one.
	To func(Call) string
}

// RoundTrip implements http.RoundTripper.
func (d Detour) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.GetBody != nil {
		r, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
	if to := d.To(CallOf(req, body)); to != "" {
		req = req.Clone(req.Context())
		req.URL.Host = to
	}
	return d.Next.RoundTrip(req)
}
