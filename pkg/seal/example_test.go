package seal_test

import (
	"fmt"

	"github.com/tikbridge/tikbridge/pkg/seal"
)

func Example() {
	// Every replica has these secrets, so each opens what another one sealed.
	ring, err := seal.New(seal.Derive("the secret key of Supabase", "the client secret of TikTok"))
	if err != nil {
		panic(err)
	}
	token := ring.Seal("state", []byte(`{"redirect_to":"https://app.example/"}`))

	payload, err := ring.Open("state", token)
	fmt.Println(string(payload), err)

	_, err = ring.Open("handoff", token)
	fmt.Println(err)
	// Output:
	// {"redirect_to":"https://app.example/"} <nil>
	// token is not valid
}

// To change the key, put the new one first; drop the old one when its last token is stale.
func ExampleNew_rotation() {
	before, _ := seal.New("the old key, thirty-two characters or more")
	token := before.Seal("handoff", []byte("user 1"))

	during, _ := seal.New("the new key, thirty-two characters or more", "the old key, thirty-two characters or more")
	payload, err := during.Open("handoff", token)
	fmt.Println(string(payload), err)

	after, _ := seal.New("the new key, thirty-two characters or more")
	_, err = after.Open("handoff", token)
	fmt.Println(err)
	// Output:
	// user 1 <nil>
	// token is not valid
}
