package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// width is what a line of the report has at most, in characters, unless a word is longer.
const width = 100

// Print writes the report for people to read.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	column := len("public_url")
	for _, f := range r.Findings {
		column = max(column, len(f.Check))
	}
	for _, f := range r.Findings {
		head := fmt.Sprintf("%-8s %-*s ", f.Status, column, f.Check)
		b.WriteString(hang(head, f.Seen))
		if f.Fix != "" {
			b.WriteString(hang(strings.Repeat(" ", len(head)), "-> "+f.Fix))
		}
	}
	fmt.Fprintf(&b, "\n%s, %s, %d ok, %d skipped\n",
		count(r.Count(Problem), "problem"), count(r.Count(Warning), "warning"), r.Count(OK), r.Count(Skipped))
	if len(r.ByHand) > 0 {
		b.WriteString("\nNo program can see these; look yourself:\n")
		for _, note := range r.ByHand {
			b.WriteString(hang("  - ", note))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hang writes text after head, and further lines below its beginning.
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
