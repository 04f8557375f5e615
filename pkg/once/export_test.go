package once

import "time"

// SetClock lets a memory follow the time of a server whose time a test moves.
func (m *Memory) SetClock(now func() time.Time) { m.now = now }

// ProbingStopped lets a test tell whether no call is finding out about primary.
func (d *Degrading) ProbingStopped() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.probing
}
