package jobplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/types/known/durationpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// missedHeartbeats is how many intervals of silence make a stream count as dead.
const missedHeartbeats = 3

// mostGaps is how often in a row events may be left out before they count as lost.
const mostGaps = 5

var (
	errOver    = errors.New("the watch is over")
	errStalled = errors.New("the server went silent")
	errBroken  = errors.New("the stream ended without its last frame")
	errGap     = errors.New("the server left out events")
)

// Update is one thing that a watch tells: a state of the job, or an event.
type Update struct {
	// Job is the state at Cursor; nil where the update is an event. A watch starts with one,
	// unless it was told where to start.
	Job *jobplanev1.Job
	// Truncated says that events before Job are no longer kept.
	Truncated bool
	// Event is what happened; nil where the update is a state.
	Event *jobplanev1.JobEvent
	// Cursor is where to go on after this update: see [After].
	Cursor int64
}

// Finished says whether this is the last update: the job is over.
func (u Update) Finished() bool { return u.Job.GetDone() || u.Event.GetFinished() != nil }

// Status gives the job's status after the update.
func (u Update) Status() jobplanev1.JobStatus {
	if u.Event != nil {
		return u.Event.GetStatus()
	}
	return u.Job.GetStatus()
}

// WatchOption changes a watch.
type WatchOption func(*watch)

// After starts behind an event: 0 gives the whole history, the Cursor of an update of an
// earlier watch goes on where that one stopped.
func After(sequence int64) WatchOption { return func(w *watch) { w.cursor = &sequence } }

// DurableOnly leaves out progress, which is not part of the history.
func DurableOnly() WatchOption { return func(w *watch) { w.request.DurableOnly = true } }

// EventTypes keeps only events of these types, for example "status_changed"; "finished" is
// always kept.
func EventTypes(types ...string) WatchOption {
	return func(w *watch) { w.request.EventTypes = types }
}

// HeartbeatInterval sets how often the server shows that it lives, 1 s to 60 s, by default
// 15 s. After three intervals of silence the watch reconnects.
func HeartbeatInterval(interval time.Duration) WatchOption {
	return func(w *watch) { w.interval = interval }
}

// OnReconnect is told of every reconnect: why, and how long the watch waits before it.
func OnReconnect(tell func(cause error, delay time.Duration)) WatchOption {
	return func(w *watch) { w.onReconnect = tell }
}

// Watch follows a job, by name or by id, until it is finished. It reconnects by itself and
// goes on where it was: every durable event comes in order and exactly once. It ends after
// the update that is Finished, or with the one error that it yields: the context's, or that
// of a server that refuses the watch.
func (c *Client) Watch(
	ctx context.Context, job string, options ...WatchOption,
) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		w := &watch{
			reconnect: reconnect{
				closed:      func() bool { return c.watches.GetState() == connectivity.Shutdown },
				retry:       c.retry,
				interval:    15 * time.Second,
				onReconnect: func(error, time.Duration) {},
			},
			jobs:    c.streams,
			request: &jobplanev1.WatchJobRequest{Name: c.Name(job)},
			yield:   func(update Update) bool { return yield(update, nil) },
		}
		for _, apply := range options {
			apply(w)
		}
		if err := w.run(ctx, w.follow); !errors.Is(err, errOver) {
			yield(Update{}, err)
		}
	}
}

// watch is one watch over all its streams.
type watch struct {
	reconnect
	jobs    jobplanev1.JobServiceClient
	request *jobplanev1.WatchJobRequest
	yield   func(Update) bool

	// cursor is the sequence up to which everything was delivered; nil before the first frame.
	cursor *int64
	// gaps counts the streams in a row that left out the same events.
	gaps int
}

func (w *watch) follow(ctx context.Context) error {
	w.request.AfterSequence = w.cursor
	w.request.HeartbeatInterval = durationpb.New(w.interval)
	open := func(ctx context.Context) (grpc.ServerStreamingClient[jobplanev1.WatchJobResponse], error) {
		return w.jobs.WatchJob(ctx, w.request)
	}
	return frames(ctx, w.patience(), open, w.take)
}

// take delivers what a frame brought. Its error ends the stream.
func (w *watch) take(response *jobplanev1.WatchJobResponse, first bool) error {
	switch frame := response.GetFrame().(type) {
	case *jobplanev1.WatchJobResponse_Snapshot_:
		return w.takeSnapshot(frame.Snapshot, response.GetCursor())
	case *jobplanev1.WatchJobResponse_End_:
		return w.takeEnd(frame.End)
	case *jobplanev1.WatchJobResponse_Events_:
		if err := w.takeEvents(frame.Events.GetEvents()); err != nil {
			return err
		}
	case *jobplanev1.WatchJobResponse_Heartbeat_:
		// A server that accepts a watch and then loses it must not be asked again at once.
		if !first {
			w.failures = 0
		}
	}
	if w.misses(response.GetCursor()) {
		return w.gap()
	}
	w.advance(response.GetCursor())
	return nil
}

func (w *watch) takeSnapshot(snapshot *jobplanev1.WatchJobResponse_Snapshot, cursor int64) error {
	resumed := w.cursor != nil && !snapshot.GetHistoryTruncated()
	if resumed && w.misses(cursor) {
		return w.gap()
	}
	w.advance(cursor)
	if resumed && !snapshot.GetJob().GetDone() {
		return nil
	}
	return w.deliver(Update{Job: snapshot.GetJob(), Truncated: snapshot.GetHistoryTruncated()})
}

func (w *watch) takeEvents(events []*jobplanev1.JobEvent) error {
	for _, event := range events {
		if !event.GetEphemeral() {
			if w.cursor != nil && event.GetSequence() <= *w.cursor {
				continue
			}
			if w.misses(event.GetSequence() - 1) {
				return w.gap()
			}
			w.advance(event.GetSequence())
			w.gaps = 0
		}
		if err := w.deliver(Update{Event: event}); err != nil {
			return err
		}
	}
	return nil
}

// misses says whether events up to a sequence exist that were not delivered. With a filter
// of types that cannot be known.
func (w *watch) misses(sequence int64) bool {
	return w.cursor != nil && sequence > *w.cursor && len(w.request.GetEventTypes()) == 0
}

// gap has the events after the cursor asked for again, unless the server leaves them out
// every time.
func (w *watch) gap() error {
	if w.gaps++; w.gaps <= mostGaps {
		return errGap
	}
	return &Error{
		Code:    codes.DataLoss,
		Reason:  "EVENT_GAP",
		Message: fmt.Sprintf("the server leaves out events of %s after %d", w.request.GetName(), *w.cursor),
	}
}

// takeEnd tells a finished job from a stream that is to be opened again.
func (w *watch) takeEnd(end *jobplanev1.WatchJobResponse_End) error {
	switch end.GetReason() {
	case jobplanev1.WatchJobResponse_End_REASON_FINISHED:
		if end.GetJob() != nil {
			w.advance(end.GetJob().GetSequence())
			return w.deliver(Update{Job: end.GetJob()})
		}
		return errOver
	case jobplanev1.WatchJobResponse_End_REASON_DELETED:
		return &Error{
			Code:    codes.NotFound,
			Reason:  "JOB_NOT_FOUND",
			Message: fmt.Sprintf("%s was deleted while it was watched", w.request.GetName()),
		}
	}
	return endOf(end)
}

// deliver hands an update to the consumer; the error says that it was the last one.
func (w *watch) deliver(update Update) error {
	w.failures = 0
	if w.cursor != nil {
		update.Cursor = *w.cursor
	}
	if !w.yield(update) || update.Finished() {
		return errOver
	}
	return nil
}

func (w *watch) advance(sequence int64) {
	if w.cursor == nil || sequence > *w.cursor {
		w.cursor = &sequence
	}
}

// endedError says that the server ended a stream that is to be opened again.
type endedError struct {
	reason     jobplanev1.WatchJobResponse_End_Reason
	retryAfter time.Duration
}

func (e *endedError) Error() string { return fmt.Sprintf("the server ended the stream: %s", e.reason) }

// explain gives the real cause of a stream's end.
func explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errBroken
	case errors.Is(err, errOver):
		return errOver
	case errors.Is(context.Cause(ctx), errStalled):
		return errStalled
	}
	return typed(err)
}

// isFinal says whether another stream would end just so.
func isFinal(err error) bool {
	if errors.Is(err, errOver) {
		return true
	}
	known := (*Error)(nil)
	if !errors.As(err, &known) {
		return false
	}
	switch known.Code {
	case codes.NotFound, codes.PermissionDenied, codes.Unauthenticated,
		codes.InvalidArgument, codes.OutOfRange, codes.Unimplemented, codes.DataLoss:
		return true
	}
	return false
}

// hintOf gives the wait that the server asked for.
func hintOf(err error) time.Duration {
	if ended := (*endedError)(nil); errors.As(err, &ended) {
		return ended.retryAfter
	}
	if known := (*Error)(nil); errors.As(err, &known) {
		return known.RetryAfter
	}
	return 0
}
