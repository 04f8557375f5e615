package tiktoksim

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
)

// The open_ids of the built-in people: "-000" and 32 characters of mixed-case base64url, the shape
// of TikTok's own. They never change, so tests may name them.
const (
	OpenIDMira  = "-000M1ra_Qw7ErTy9UiOp-AsDfGh2JkLzXcV"
	OpenIDLayla = "-000La8Yla-bNm4QwErT_yUiOpAs6DfGhJkL"
	OpenIDMax   = "-000mAx3ZxCvBnM-QwE5rTyUiOpLkJ_hGfDs"
	OpenIDGhost = "-000gH0sT_PoIuYtReWq-LkJhGfDs1aMnBvC"
	// OpenIDTwinA and OpenIDTwinB differ in the case of letters only: whoever folds the case of an
	// open_id signs one person into the account of the other.
	OpenIDTwinA = "-000TwInAbCdEfGhIjKlMnOpQrStUvWxYz01"
	OpenIDTwinB = "-000tWiNaBcDeFgHiJkLmNoPqRsTuVwXyZ01"
)

// Person is a TikTok account as user info shows it. Two people with different OpenID are different
// people, whatever else they share.
type Person struct {
	// Slug names the person on the consent page and in its form.
	Slug string
	// OpenID is unique per person and app, and case-sensitive.
	OpenID string
	// UnionID is left out of user info when empty, as TikTok does for some accounts.
	UnionID string
	// DisplayName may be empty and may hold any characters.
	DisplayName string
	// Avatar is the file name of a built-in avatar, an absolute URL, or empty.
	Avatar string
	// Username, Bio and Verified need the scope user.info.profile.
	Username, Bio string
	Verified      bool
	// Followers, Following, Likes and Videos need the scope user.info.stats.
	Followers, Following, Likes, Videos int64
	// About tells a developer on the consent page what this person is for.
	About string
}

var people = []Person{
	{
		Slug: "mira", OpenID: OpenIDMira, UnionID: "5d1f9a2e-7c34-4b8e-9f60-2a7b1c3d4e5f",
		DisplayName: "Mira Sommer", Avatar: "mira.svg", Username: "mira.sommer",
		Bio: "Ceramics and slow mornings.", Verified: true,
		Followers: 12840, Following: 312, Likes: 98431, Videos: 77,
		About: "An ordinary account",
	},
	{
		Slug: "layla", OpenID: OpenIDLayla,
		DisplayName: "ليلى 🌙✨", Avatar: "layla.svg", Username: "layla_moon",
		Bio: "خط عربي", Followers: 5_100_000_000, Following: 12, Likes: 20_000_000_000, Videos: 903,
		About: "Right-to-left name, emoji, no union_id",
	},
	{
		Slug: "max", OpenID: OpenIDMax, UnionID: "0b7e6c51-93aa-4d1f-8a55-c4e2f7d81b90",
		DisplayName: `Maximilian "Max" <b>O'Hara</b> & Sons <script>alert(1)</script> ` +
			strings.Repeat("the very long display name that never ends ", 5) + "© 2026",
		Avatar: "max.svg", Username: "max.and.sons", Followers: 3, Videos: 1,
		About: "A very long name with HTML in it",
	},
	{
		Slug: "ghost", OpenID: OpenIDGhost,
		About: "No display name, no avatar, no union_id",
	},
	{
		Slug: "twin-a", OpenID: OpenIDTwinA, UnionID: "7a1c0f3e-5b2d-4c69-8e17-d09b6a4f2c31",
		DisplayName: "Alex Twin", Avatar: "twin-a.svg", Username: "alex.twin.a",
		About: "open_id equals the other twin's but for letter case",
	},
	{
		Slug: "twin-b", OpenID: OpenIDTwinB, UnionID: "e4d8b7a6-1f90-4e3c-b5a2-68c7f1d02e94",
		DisplayName: "Alex Twin", Avatar: "twin-b.svg", Username: "alex.twin.b",
		About: "Same name, same letters, another person",
	},
}

// People returns the built-in people in the order of the consent page.
func People() []Person { return slices.Clone(people) }

func personBySlug(slug string) (Person, bool) {
	return findPerson(func(p Person) bool { return p.Slug == slug })
}

func personByOpenID(openID string) (Person, bool) {
	return findPerson(func(p Person) bool { return p.OpenID == openID })
}

func findPerson(match func(Person) bool) (Person, bool) {
	i := slices.IndexFunc(people, match)
	if i < 0 {
		return Person{}, false
	}
	return people[i], true
}

// guest makes up a person for an open_id and display name of the developer's choice. Without an
// open_id it derives one from the name, so that the same name is the same account again.
func guest(openID, displayName string) Person {
	if openID == "" {
		sum := sha256.Sum256([]byte("tiktoksim guest\n" + displayName))
		openID = "-000" + base64.RawURLEncoding.EncodeToString(sum[:24])
	}
	if p, ok := personByOpenID(openID); ok {
		p.DisplayName = displayName
		return p
	}
	return Person{OpenID: openID, DisplayName: displayName, Avatar: "guest.svg"}
}

// stranger is whom the fault "other_open_id" names: anybody but p.
func stranger(p Person) Person {
	if p.OpenID == OpenIDMira {
		return people[1]
	}
	return people[0]
}
