package bench_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// distance puts the stand-in behind TLS and a network: what is sent arrives half a round trip later, and a connection
// takes a whole one before anything can be sent, as TCP's handshake does.
type distance struct {
	roundTrip        time.Duration
	tiktok, supabase string // addresses
	authority        string // file with the certificate to trust

	front string
	mu    sync.Mutex
	open  map[net.Conn]bool // of the programs that are measured
}

func putAway(tb testing.TB, s *standin, roundTrip time.Duration, http2 bool) *distance {
	tb.Helper()
	d := &distance{roundTrip: roundTrip, open: map[net.Conn]bool{}}
	var certificate tls.Certificate
	certificate, d.authority = newCertificate(tb)

	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr})
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	front := &http.Server{
		Handler: proxy, Protocols: new(http.Protocols), ErrorLog: log.New(new(bytes.Buffer), "", 0), // #nosec G112
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	front.Protocols.SetHTTP1(true)
	front.Protocols.SetHTTP2(http2)
	l := listen(tb)
	d.front = l.Addr().String()
	go func() { _ = front.ServeTLS(l, "", "") }()
	tb.Cleanup(func() { _ = front.Close() })

	d.tiktok, d.supabase = d.relay(tb), d.relay(tb)
	tb.Cleanup(d.closeAll)
	return d
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// relay listens at an address that is far from the stand-in.
func (d *distance) relay(tb testing.TB) (address string) {
	tb.Helper()
	l := listen(tb)
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			connected := time.Now().Add(d.roundTrip)
			far, err := net.Dial("tcp", d.front)
			if err != nil {
				_ = near.Close()
				continue
			}
			d.mu.Lock()
			d.open[near] = true
			d.mu.Unlock()
			go d.carry(far, near, connected)
			go d.carry(near, far, connected)
		}
	}()
	return l.Addr().String()
}

// closeAll closes all connections, as servers do with idle ones.
func (d *distance) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for near := range d.open {
		_ = near.Close()
	}
	clear(d.open)
}

// carry sends what it reads from one end to the other, later.
func (d *distance) carry(to, from net.Conn, connected time.Time) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1<<10)
	go func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				sent := time.Now()
				if sent.Before(connected) {
					sent = connected
				}
				pieces <- piece{buffer[:n], sent.Add(d.roundTrip / 2)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		// Timers are up to a millisecond late, which six times a sign-in would be more than all that is measured.
		time.Sleep(time.Until(p.due) - 2*time.Millisecond)
		for time.Now().Before(p.due) {
			runtime.Gosched()
		}
		_, _ = to.Write(p.data)
	}
	_, _ = to.Close(), from.Close()
}

// newCertificate returns a certificate for this machine, and the file with that of the authority that signed it.
func newCertificate(tb testing.TB) (tls.Certificate, string) {
	tb.Helper()
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		return key
	}
	sign := func(c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
		if err != nil {
			tb.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			tb.Fatal(err)
		}
		return made
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, IsCA: true,
	}
	rootKey, key := newKey(), newKey()
	root := sign(&template, &template, rootKey, rootKey)
	template.SerialNumber, template.IsCA, template.KeyUsage = big.NewInt(2), false, x509.KeyUsageDigitalSignature
	template.Subject.CommonName = "127.0.0.1"
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	leaf := sign(&template, root, key, rootKey)

	file := filepath.Join(tb.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, root.Raw}, PrivateKey: key, Leaf: leaf}, file
}
