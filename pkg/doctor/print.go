package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is the longest line of a report, in characters, unless a word is longer.
const width = 100

// Print writes the report for people to read.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(Text(r.Findings))
	fmt.Fprintf(&b, "\n%s, %s, %d ok, %d skipped\n",
		count(r.Count(Problem), "problem"), count(r.Count(Warning), "warning"), r.Count(OK), r.Count(Skipped))
	if len(r.ByHand) > 0 {
		b.WriteString("\nCheck these yourself; no program can see them:\n")
		for _, note := range r.ByHand {
			b.WriteString(hang("  - ", note))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Text is the findings as Print writes them.
func Text(findings []Finding) string {
	var b strings.Builder
	column := len("public_url")
	for _, f := range findings {
		column = max(column, len(f.Check))
	}
	for _, f := range findings {
		head := fmt.Sprintf("%-8s %-*s ", f.Status, column, f.Check)
		b.WriteString(hang(head, f.Seen))
		if f.Fix != "" {
			b.WriteString(hang(strings.Repeat(" ", len(head)), "-> "+f.Fix))
		}
	}
	return b.String()
}

// Err counts the problems, and with strict also the warnings, in an error; it is nil if there are none.
func (r Report) Err(strict bool) error {
	var found []string
	if n := r.Count(Problem); n > 0 {
		found = append(found, count(n, "problem"))
	}
	if n := r.Count(Warning); n > 0 && strict {
		found = append(found, count(n, "warning"))
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%s found (see above)", strings.Join(found, " and "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hang writes text after head, wrapped, with each further line below its start.
func hang(head, text string) string {
	var b strings.Builder
	b.WriteString(head)
	used := len(head)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case used+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", len(head)))
			used = len(head)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	b.WriteByte('\n')
	return b.String()
}
