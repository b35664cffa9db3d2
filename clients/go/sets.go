package jobplane

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// JobChange is one job of a watched set after a change.
type JobChange struct {
	Job *jobplanev1.Job
	// Matches is false when the job left the filter or was deleted.
	Matches bool
	// Deleted says that only the job's name is known.
	Deleted bool
	// Synced says that all jobs that matched at the start were told before this one.
	Synced bool
	// Cursor is where to go on after this change: see [FromCursor].
	Cursor string
}

// WatchJobsOption changes a watch of a set.
type WatchJobsOption func(*setWatch)

// UntilAllFinished ends the watch once all jobs that match are finished.
func UntilAllFinished() WatchJobsOption {
	return func(w *setWatch) { w.request.UntilAllFinished = true }
}

// FromCursor goes on behind a change of an earlier watch of the same filter.
func FromCursor(cursor string) WatchJobsOption {
	return func(w *setWatch) { w.request.Cursor, w.knowsAll = cursor, cursor == "" }
}

// OnSetReconnect is told of every reconnect: why, and how long the watch waits before it.
func OnSetReconnect(tell func(cause error, delay time.Duration)) WatchJobsOption {
	return func(w *setWatch) { w.onReconnect = tell }
}

// WatchJobs follows all jobs that match a filter: first each that matches now, then every
// change. It reconnects by itself and tells nothing twice. It ends as [UntilAllFinished]
// says, or with the one error that it yields.
func (c *Client) WatchJobs(
	ctx context.Context, filter string, options ...WatchJobsOption,
) iter.Seq2[JobChange, error] {
	return func(yield func(JobChange, error) bool) {
		w := &setWatch{
			reconnect: reconnect{
				closed:      func() bool { return c.watches.GetState() == connectivity.Shutdown },
				retry:       c.retry,
				interval:    15 * time.Second,
				onReconnect: func(error, time.Duration) {},
			},
			jobs:     c.streams,
			request:  &jobplanev1.WatchJobsRequest{Project: c.project, Filter: filter},
			known:    map[string]*jobplanev1.Job{},
			knowsAll: true,
			yield:    func(change JobChange) bool { return yield(change, nil) },
		}
		for _, apply := range options {
			apply(w)
		}
		if err := w.run(ctx, w.follow); !errors.Is(err, errOver) {
			yield(JobChange{}, err)
		}
	}
}

// setWatch is one watch of a set over all its streams.
type setWatch struct {
	reconnect
	jobs    jobplanev1.JobServiceClient
	request *jobplanev1.WatchJobsRequest
	yield   func(JobChange) bool

	// known are the jobs that match, as they were last told.
	known map[string]*jobplanev1.Job
	// doubtful are those that a fresh list has not named yet; nil when none is under way.
	doubtful map[string]bool
	// knowsAll is false when what came before the caller's own cursor is not known.
	knowsAll bool
	synced   bool
}

func (w *setWatch) follow(ctx context.Context) error {
	w.request.HeartbeatInterval = durationpb.New(w.interval)
	open := func(ctx context.Context) (grpc.ServerStreamingClient[jobplanev1.WatchJobsResponse], error) {
		return w.jobs.WatchJobs(ctx, w.request)
	}
	return frames(ctx, w.patience(), open, w.take)
}

// take delivers what a frame brought. Its error ends the stream.
func (w *setWatch) take(response *jobplanev1.WatchJobsResponse, first bool) error {
	if !first {
		w.failures = 0
	}
	var changes []JobChange
	switch frame := response.GetFrame().(type) {
	case *jobplanev1.WatchJobsResponse_Changes_:
		for _, change := range frame.Changes.GetChanges() {
			changes = append(changes, w.apply(change)...)
		}
	case *jobplanev1.WatchJobsResponse_Synced_:
		w.synced = true
		for _, name := range slices.Sorted(maps.Keys(w.doubtful)) {
			changes = append(changes, JobChange{Job: w.known[name]})
			delete(w.known, name)
		}
		w.doubtful = nil
	case *jobplanev1.WatchJobsResponse_Reset_:
		w.synced = false
		w.doubtful = map[string]bool{}
		for name := range w.known {
			w.doubtful[name] = true
		}
	case *jobplanev1.WatchJobsResponse_End:
		return endOf(frame.End)
	}
	w.request.Cursor = response.GetCursor()
	for _, change := range changes {
		change.Synced, change.Cursor = w.synced, w.request.Cursor
		w.failures = 0
		if !w.yield(change) {
			return errOver
		}
	}
	return nil
}

// apply keeps a change, and gives it unless it was told before.
func (w *setWatch) apply(change *jobplanev1.WatchJobsResponse_JobChange) []JobChange {
	job := change.GetJob()
	delete(w.doubtful, job.GetName())
	known := w.known[job.GetName()]
	if change.GetMatchesFilter() {
		w.known[job.GetName()] = job
		if known != nil && proto.Equal(known, job) {
			return nil
		}
		return []JobChange{{Job: job, Matches: true}}
	}
	delete(w.known, job.GetName())
	if known == nil && w.knowsAll {
		return nil
	}
	return []JobChange{{Job: job, Deleted: change.GetDeleted()}}
}

// endOf tells a set that is finished from a stream that is to be opened again.
func endOf(end *jobplanev1.WatchJobResponse_End) error {
	if end.GetReason() == jobplanev1.WatchJobResponse_End_REASON_FINISHED {
		return errOver
	}
	return &endedError{reason: end.GetReason(), retryAfter: end.GetRetryAfter().AsDuration()}
}
