package supabase

import (
	_ "embed" // migrate.sql
	"strings"
)

//go:embed migrate.sql
var migrateSQL string

// MigrationSQL returns the SQL that gives accounts made by sign-in links the identity of a custom provider. Only
// the database can do that: the admin API has no route for identities.
func MigrationSQL(provider ProviderSettings, emailDomain string) string {
	return strings.NewReplacer(
		"{provider}", comment(provider.Identifier),
		"{provider_literal}", literal(provider.Identifier),
		"{issuer_literal}", literal(provider.Issuer),
		"{address_pattern}", literal("%@"+escapeLike(emailDomain)),
	).Replace(migrateSQL)
}

// literal quotes a value for SQL in a way that no setting of the database changes (PostgreSQL: 4.1.2.2).
func literal(s string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", "").Replace(s)
	if strings.Contains(quoted, `\`) {
		return "E'" + quoted + "'"
	}
	return "'" + quoted + "'"
}

// comment keeps a value on the line of its comment.
func comment(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }

// escapeLike takes the meaning from the characters that LIKE knows.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
