package limit

import "time"

// SetClock lets a memory follow the time of a server whose time a test moves.
func (m *Memory) SetClock(now func() time.Time) { m.now = now }

// Len returns how many keys are held.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.busy)
}
