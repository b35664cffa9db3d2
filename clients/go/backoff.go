package jobplane

import (
	"context"
	"math/rand/v2"
	"time"
)

// longestHint bounds how long a server can tell a client to stay away.
const longestHint = time.Minute

// backoff spreads repeated tries: full jitter below a ceiling that doubles with each try,
// so that many clients that lost one server do not come back in step.
type backoff struct {
	first time.Duration
	most  time.Duration
}

// delay gives the wait before the next try, after so many failed ones, and not before the
// server's own hint.
func (b backoff) delay(failures int, hint time.Duration) time.Duration {
	ceiling := b.most
	if doublings := max(failures-1, 0); doublings < 32 {
		ceiling = min(b.most, b.first<<doublings)
	}
	return min(hint, longestHint) + rand.N(ceiling+1)
}

// pause waits, or ends early with the context's error.
func pause(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
