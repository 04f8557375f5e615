package redis

import "crypto/x509"

// Trust makes c believe the authorities of a test, which no system knows.
func (c *Client) Trust(roots *x509.CertPool) { c.redis.Options().TLSConfig.RootCAs = roots }
