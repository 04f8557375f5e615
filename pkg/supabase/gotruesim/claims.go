package gotruesim

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// profileClaims are the claims of a person that GoTrue knows; it drops all others
// (provider/provider.go, Claims).
type profileClaims struct {
	Issuer            string         `json:"iss,omitempty"`
	Subject           string         `json:"sub,omitempty"`
	Audience          audiences      `json:"aud,omitempty"`
	IssuedAt          float64        `json:"iat,omitempty"`
	Expiry            float64        `json:"exp,omitempty"`
	Name              string         `json:"name,omitempty"`
	FamilyName        string         `json:"family_name,omitempty"`
	GivenName         string         `json:"given_name,omitempty"`
	MiddleName        string         `json:"middle_name,omitempty"`
	Nickname          string         `json:"nickname,omitempty"`
	PreferredUsername string         `json:"preferred_username,omitempty"`
	Profile           string         `json:"profile,omitempty"`
	Picture           string         `json:"picture,omitempty"`
	Website           string         `json:"website,omitempty"`
	Gender            string         `json:"gender,omitempty"`
	Birthdate         string         `json:"birthdate,omitempty"`
	ZoneInfo          string         `json:"zoneinfo,omitempty"`
	Locale            string         `json:"locale,omitempty"`
	UpdatedAt         *timeClaim     `json:"updated_at,omitempty"`
	Email             string         `json:"email,omitempty"`
	EmailVerified     bool           `json:"email_verified,omitempty"`
	Phone             string         `json:"phone,omitempty"`
	PhoneVerified     bool           `json:"phone_verified,omitempty"`
	CustomClaims      map[string]any `json:"custom_claims,omitempty"`
	FullName          string         `json:"full_name,omitempty"`
	AvatarURL         string         `json:"avatar_url,omitempty"`
	Slug              string         `json:"slug,omitempty"`
	ProviderID        string         `json:"provider_id,omitempty"`
	UserName          string         `json:"user_name,omitempty"`
}

// audiences is a string or a list of them.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audiences{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// timeClaim is a number of seconds or an RFC 3339 string.
type timeClaim time.Time

// MarshalJSON implements json.Marshaler.
func (t timeClaim) MarshalJSON() ([]byte, error) { return time.Time(t).MarshalJSON() }

// UnmarshalJSON implements json.Unmarshaler.
func (t *timeClaim) UnmarshalJSON(b []byte) error {
	var seconds float64
	if json.Unmarshal(b, &seconds) == nil {
		*t = timeClaim(time.Unix(int64(seconds), 0).UTC())
		return nil
	}
	return json.Unmarshal(b, (*time.Time)(t))
}

// data is what lands in identity_data and user_metadata: the claims that are there, and always whether e-mail
// and phone are verified.
func (c *profileClaims) data() map[string]any {
	all := map[string]any{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !v.Field(i).IsZero() {
			all[name] = v.Field(i).Interface()
		}
	}
	all["email_verified"], all["phone_verified"] = c.EmailVerified, c.PhoneVerified
	return plain(all)
}

// plain turns values into what decoded JSON is made of.
func plain(v map[string]any) map[string]any {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("gotruesim: marshal claims: %w", err))
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		panic(fmt.Errorf("gotruesim: unmarshal claims: %w", err))
	}
	return out
}

// capture copies claims that the provider's row allows into custom_claims. The token's own custom_claims stay
// beside them.
func (c *profileClaims) capture(raw map[string]any, allowed []string) {
	for _, name := range allowed {
		value, ok := raw[name]
		if !ok {
			continue
		}
		if c.CustomClaims == nil {
			c.CustomClaims = map[string]any{}
		}
		c.CustomClaims[name] = value
	}
}

// mapped applies an attribute mapping: a string names another known claim, anything else is the value itself.
// A mapping whose result does not fit changes nothing (provider/custom_oauth.go, applyAttributeMapping).
func (c profileClaims) mapped(mapping map[string]any) profileClaims {
	data, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Errorf("gotruesim: marshal claims: %w", err))
	}
	all := map[string]any{}
	if err := json.Unmarshal(data, &all); err != nil {
		return c
	}
	for target, source := range mapping {
		name, named := source.(string)
		if !named {
			all[target] = source
		} else if value, ok := all[name]; ok {
			all[target] = value
		}
	}
	if data, err = json.Marshal(all); err != nil {
		return c
	}
	var out profileClaims
	if err := json.Unmarshal(data, &out); err != nil {
		return c
	}
	return out
}
