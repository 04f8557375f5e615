package signin

// StateOf returns a state whose every text is s.
func StateOf(s string) any {
	return state{stateData: stateData{ID: s, Scheme: s, RedirectTo: s, Verifier: s, Challenge: s, Binder: s}}
}

// HandoffOf returns a handoff whose every text is s.
func HandoffOf(s string) any {
	return handoff{handoffData: handoffData{
		ID: s, OpenID: s, AccessToken: s, RefreshToken: s, FlowID: s, Challenge: s, Binder: s,
	}}
}
