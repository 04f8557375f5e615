package once

import "time"

// SetClock lets a memory follow the time of a server whose time a test moves.
func (m *Memory) SetClock(now func() time.Time) { m.now = now }
