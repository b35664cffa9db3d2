package jobplane

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
)

// reconnect opens stream after stream until what they tell is over, or must fail.
type reconnect struct {
	closed      func() bool
	retry       backoff
	interval    time.Duration
	onReconnect func(error, time.Duration)

	// failures counts the streams in a row that brought nothing.
	failures int
}

func (r *reconnect) run(ctx context.Context, follow func(context.Context) error) error {
	for {
		err := follow(ctx)
		if ctx.Err() != nil && !errors.Is(err, errOver) {
			return ctx.Err()
		}
		if isFinal(err) || r.closed() {
			return err
		}
		r.failures++
		delay := r.retry.delay(r.failures, hintOf(err))
		r.onReconnect(err, delay)
		if err := pause(ctx, delay); err != nil {
			return err
		}
	}
}

func (r *reconnect) patience() time.Duration { return missedHeartbeats * r.interval }

// frames reads one stream until it ends, and says why it did.
func frames[F any](
	ctx context.Context,
	patience time.Duration,
	open func(context.Context) (grpc.ServerStreamingClient[F], error),
	take func(frame *F, first bool) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience, func() { cancel(errStalled) })
	defer silence.Stop()
	stream, err := open(ctx)
	for first := true; err == nil; first = false {
		// Only the wait for the server counts as silence, not the time of the consumer.
		silence.Reset(patience)
		var frame *F
		if frame, err = stream.Recv(); err == nil {
			silence.Stop()
			err = take(frame, first)
		}
	}
	return explain(ctx, err)
}
