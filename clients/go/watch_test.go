package jobplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

const lastSequence = 6

type frame = jobplanev1.WatchJobResponse

func finishedJob() *jobplanev1.Job {
	return &jobplanev1.Job{
		Name:     jobName,
		Status:   jobplanev1.JobStatus_JOB_STATUS_SUCCEEDED,
		Phase:    jobplanev1.JobPhase_JOB_PHASE_FINISHED,
		Done:     true,
		Sequence: lastSequence,
	}
}

func durable(sequence int64) *jobplanev1.JobEvent {
	event := &jobplanev1.JobEvent{Job: jobName, Sequence: sequence}
	switch sequence {
	case 1:
		event.Payload = &jobplanev1.JobEvent_Submitted_{}
	case lastSequence:
		event.Payload = &jobplanev1.JobEvent_Finished_{Finished: &jobplanev1.JobEvent_Finished{}}
	default:
		event.Payload = &jobplanev1.JobEvent_StageStarted_{}
	}
	return event
}

func progress() *jobplanev1.JobEvent {
	payload := &jobplanev1.JobEvent_Progress{Progress: &jobplanev1.Progress{}}
	return &jobplanev1.JobEvent{Job: jobName, Ephemeral: true, Payload: payload}
}

func eventsFrame(cursor int64, events ...*jobplanev1.JobEvent) *frame {
	payload := &jobplanev1.WatchJobResponse_Events{Events: events}
	return &frame{Cursor: cursor, Frame: &jobplanev1.WatchJobResponse_Events_{Events: payload}}
}

func heartbeatFrame(cursor int64) *frame {
	payload := &jobplanev1.WatchJobResponse_Heartbeat{}
	return &frame{Cursor: cursor, Frame: &jobplanev1.WatchJobResponse_Heartbeat_{Heartbeat: payload}}
}

func endFrame(end *jobplanev1.WatchJobResponse_End) *frame {
	return &frame{Cursor: lastSequence, Frame: &jobplanev1.WatchJobResponse_End_{End: end}}
}

func finishedFrame() *frame {
	return endFrame(&jobplanev1.WatchJobResponse_End{
		Reason: jobplanev1.WatchJobResponse_End_REASON_FINISHED,
		Job:    finishedJob(),
	})
}

// framesAfter gives the whole stream that a server would send for a cursor: batches of two
// events with progress and heartbeats between them, then the end.
func framesAfter(after *int64) []*frame {
	var frames []*frame
	at := int64(2)
	if after == nil {
		job := &jobplanev1.Job{Name: jobName, Sequence: at}
		payload := &jobplanev1.WatchJobResponse_Snapshot{Job: job}
		frames = append(frames, &frame{
			Cursor: at, Frame: &jobplanev1.WatchJobResponse_Snapshot_{Snapshot: payload},
		})
	} else {
		at = *after
	}
	for at < lastSequence {
		batch := []*jobplanev1.JobEvent{durable(at + 1), progress()}
		if at+2 <= lastSequence {
			batch = append(batch, durable(at+2))
		}
		at = min(at+2, lastSequence)
		frames = append(frames, eventsFrame(at, batch...), heartbeatFrame(at))
	}
	return append(frames, finishedFrame())
}

// cutFirst serves the first stream only up to a number of frames, then ends it somehow.
func cutFirst(after int, end func(context.Context) error) watchHandler {
	return func(
		number int, request *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
	) error {
		frames := framesAfter(request.AfterSequence)
		if number == 1 {
			frames = frames[:after]
		}
		for _, frame := range frames {
			if err := send(frame); err != nil {
				return err
			}
		}
		if number == 1 {
			return end(ctx)
		}
		return nil
	}
}

func collect(t *testing.T, client *Client, options ...WatchOption) ([]Update, error) {
	t.Helper()
	options = append([]WatchOption{HeartbeatInterval(10 * time.Second)}, options...)
	var updates []Update
	for update, err := range client.Watch(bounded(t), jobName, options...) {
		if err != nil {
			return updates, err
		}
		updates = append(updates, update)
	}
	return updates, nil
}

func sequences(updates []Update) []int64 {
	var numbers []int64
	for _, update := range updates {
		if update.Event.GetSequence() > 0 {
			numbers = append(numbers, update.Event.GetSequence())
		}
	}
	return numbers
}

func TestWatchGivesEveryEventOnceHoweverAndWhereverItsStreamIsCut(t *testing.T) {
	cuts := map[string]func(context.Context) error{
		"unavailable":     func(context.Context) error { return status.Error(codes.Unavailable, "gone") },
		"cancelled":       func(context.Context) error { return status.Error(codes.Canceled, "dropped") },
		"internal":        func(context.Context) error { return status.Error(codes.Internal, "RST_STREAM") },
		"slow consumer":   func(context.Context) error { return status.Error(codes.Aborted, "too slow") },
		"OK without End":  func(context.Context) error { return nil },
		"server deadline": func(context.Context) error { return status.Error(codes.DeadlineExceeded, "") },
	}
	for how, end := range cuts {
		for _, after := range []*int64{nil, proto.Int64(0)} {
			want := []int64{3, 4, 5, 6}
			options := []WatchOption{}
			if after != nil {
				want = []int64{1, 2, 3, 4, 5, 6}
				options = append(options, After(*after))
			}
			for index := range len(framesAfter(after)) + 1 {
				name := fmt.Sprintf("%s at %d of %d", how, index, len(want))
				t.Run(name, func(t *testing.T) {
					client := connect(t, &fakeServer{onWatch: cutFirst(index, end)})
					updates, err := collect(t, client, options...)
					if err != nil {
						t.Fatal(err)
					}
					if got := sequences(updates); !slices.Equal(got, want) {
						t.Errorf("got events %v, want %v", got, want)
					}
					if last := updates[len(updates)-1]; !last.Finished() || last.Cursor != lastSequence {
						t.Errorf("the last update is %v", last)
					}
				})
			}
		}
	}
}

func TestWatchReconnectsWhenTheServerGoesSilent(t *testing.T) {
	silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for index := range len(framesAfter(nil)) - 2 {
		t.Run(fmt.Sprint(index), func(t *testing.T) {
			client := connect(t, &fakeServer{onWatch: cutFirst(index, silent)})
			var causes []error
			note := OnReconnect(func(cause error, _ time.Duration) { causes = append(causes, cause) })
			updates, err := collect(t, client, HeartbeatInterval(20*time.Millisecond), note)
			if err != nil {
				t.Fatal(err)
			}
			if got := sequences(updates); !slices.Equal(got, []int64{3, 4, 5, 6}) {
				t.Errorf("got events %v", got)
			}
			if len(causes) == 0 || !errors.Is(causes[0], errStalled) {
				t.Errorf("got causes %v", causes)
			}
		})
	}
}

func TestWatchReconnectsWhenTheServerEndsTheStreamBeforeTheJobEnds(t *testing.T) {
	for _, reason := range []jobplanev1.WatchJobResponse_End_Reason{
		jobplanev1.WatchJobResponse_End_REASON_DRAINING,
		jobplanev1.WatchJobResponse_End_REASON_MAX_AGE,
	} {
		t.Run(reason.String(), func(t *testing.T) {
			fake := &fakeServer{onWatch: func(
				number int, request *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
			) error {
				if number == 1 {
					return send(endFrame(&jobplanev1.WatchJobResponse_End{
						Reason: reason, RetryAfter: durationpb.New(time.Millisecond),
					}))
				}
				return cutFirst(0, nil)(number, request, send, ctx)
			}}
			client := connect(t, fake)
			var delays []time.Duration
			note := OnReconnect(func(_ error, delay time.Duration) { delays = append(delays, delay) })
			updates, err := collect(t, client, note)
			if err != nil || !updates[len(updates)-1].Finished() {
				t.Fatal(updates, err)
			}
			if len(delays) != 1 || delays[0] < time.Millisecond {
				t.Errorf("got delays %v", delays)
			}
		})
	}
}

func TestWatchHandsItsCursorBackWhenItReconnects(t *testing.T) {
	gone := func(context.Context) error { return status.Error(codes.Unavailable, "gone") }
	fake := &fakeServer{onWatch: cutFirst(2, gone)}
	if _, err := collect(t, connect(t, fake)); err != nil {
		t.Fatal(err)
	}
	if first := fake.watches[0]; first.AfterSequence != nil {
		t.Errorf("the first stream started after %d", first.GetAfterSequence())
	}
	if second := fake.watches[1]; second.GetAfterSequence() != 4 {
		t.Errorf("the second stream started after %d", second.GetAfterSequence())
	}
}

func TestWatchDropsEventsThatAServerRepeats(t *testing.T) {
	fake := &fakeServer{onWatch: func(
		_ int, _ *jobplanev1.WatchJobRequest, send func(*frame) error, _ context.Context,
	) error {
		for _, frame := range []*frame{
			eventsFrame(2, durable(1), durable(2)),
			eventsFrame(3, durable(2), durable(3)),
			eventsFrame(6, durable(4), durable(5), durable(6)),
		} {
			if err := send(frame); err != nil {
				return err
			}
		}
		return nil
	}}
	updates, err := collect(t, connect(t, fake), After(0))
	if err != nil {
		t.Fatal(err)
	}
	if got := sequences(updates); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("got events %v", got)
	}
}

// leaveOut serves the first streams without some events, and the later ones whole.
func leaveOut(streams int, gap ...*frame) *fakeServer {
	return &fakeServer{onWatch: func(
		number int, request *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
	) error {
		if number > streams {
			return cutFirst(0, nil)(number, request, send, ctx)
		}
		for _, frame := range gap {
			if err := send(frame); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	}}
}

func TestWatchAsksAgainForEventsThatAServerLeftOut(t *testing.T) {
	snapshot := &jobplanev1.WatchJobResponse_Snapshot{Job: &jobplanev1.Job{Name: jobName}}
	gaps := map[string]*frame{
		"between events":     eventsFrame(5, durable(5)),
		"before a heartbeat": heartbeatFrame(5),
		"at the frame's end": eventsFrame(5, durable(3)),
		"under a snapshot": {
			Cursor: 5, Frame: &jobplanev1.WatchJobResponse_Snapshot_{Snapshot: snapshot},
		},
	}
	for where, gap := range gaps {
		t.Run(where, func(t *testing.T) {
			fake := leaveOut(1, eventsFrame(2, durable(1), durable(2)), gap)
			updates, err := collect(t, connect(t, fake), After(0))
			if err != nil {
				t.Fatal(err)
			}
			if got := sequences(updates); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6}) {
				t.Errorf("got events %v", got)
			}
		})
	}
}

func TestWatchEndsWhenAServerLeavesEventsOutEveryTime(t *testing.T) {
	fake := leaveOut(100, eventsFrame(6, durable(6)))
	_, err := collect(t, connect(t, fake), After(0))
	if ReasonOf(err) != "EVENT_GAP" || fake.watchCount() != mostGaps+1 {
		t.Errorf("got %v after %d streams", err, fake.watchCount())
	}
}

func TestWatchOfSomeEventTypesTakesNoOtherEventForLeftOut(t *testing.T) {
	fake := leaveOut(1, heartbeatFrame(4), eventsFrame(6, durable(6)))
	updates, err := collect(t, connect(t, fake), After(0), EventTypes("finished"))
	if err != nil || len(updates) != 1 || fake.watchCount() != 1 {
		t.Errorf("got %v, %v", updates, err)
	}
}

func TestWatchGivesTheStateWhereHistoryIsNoLongerKept(t *testing.T) {
	job := &jobplanev1.Job{Name: jobName, Sequence: 5}
	truncated := &jobplanev1.WatchJobResponse_Snapshot{Job: job, HistoryTruncated: true}
	fake := leaveOut(1,
		&frame{Cursor: 5, Frame: &jobplanev1.WatchJobResponse_Snapshot_{Snapshot: truncated}},
		eventsFrame(6, durable(6)),
	)
	updates, err := collect(t, connect(t, fake), After(1))
	if err != nil || len(updates) != 2 || !updates[0].Truncated || updates[0].Cursor != 5 {
		t.Errorf("got %v, %v", updates, err)
	}
}

func TestWatchOfAFinishedJobResumedAfterItsEndGivesItsFinalState(t *testing.T) {
	client := connect(t, &fakeServer{onWatch: cutFirst(1, func(context.Context) error { return nil })})
	updates, err := collect(t, client, After(lastSequence))
	if err != nil {
		t.Fatal(err)
	}
	if len(updates) != 1 || !updates[0].Job.GetDone() {
		t.Errorf("got %v", updates)
	}
}

func TestWatchEndsWithTheErrorOfAServerThatRefusesIt(t *testing.T) {
	for _, code := range []codes.Code{
		codes.NotFound, codes.PermissionDenied, codes.Unauthenticated,
		codes.InvalidArgument, codes.OutOfRange, codes.Unimplemented,
	} {
		t.Run(code.String(), func(t *testing.T) {
			fake := &fakeServer{onWatch: func(
				int, *jobplanev1.WatchJobRequest, func(*frame) error, context.Context,
			) error {
				return status.Error(code, "no")
			}}
			_, err := collect(t, connect(t, fake))
			if status.Code(err) != code || fake.watchCount() != 1 {
				t.Errorf("got %v after %d streams", err, fake.watchCount())
			}
		})
	}
}

func TestWatchOfADeletedJobEndsAsOneOfAnUnknownJobDoes(t *testing.T) {
	fake := &fakeServer{onWatch: func(
		_ int, _ *jobplanev1.WatchJobRequest, send func(*frame) error, _ context.Context,
	) error {
		return send(endFrame(&jobplanev1.WatchJobResponse_End{
			Reason: jobplanev1.WatchJobResponse_End_REASON_DELETED,
		}))
	}}
	if _, err := collect(t, connect(t, fake)); ReasonOf(err) != "JOB_NOT_FOUND" {
		t.Errorf("got %v", err)
	}
}

func waitForEver(
	_ int, _ *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
) error {
	if err := send(eventsFrame(1, durable(1))); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestWatchEndsWithItsContext(t *testing.T) {
	client := connect(t, &fakeServer{onWatch: waitForEver})
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	var last error
	for _, err := range client.Watch(ctx, jobName, After(0)) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
}

func TestWatchEndsWhenItsClientIsClosed(t *testing.T) {
	client := connect(t, &fakeServer{onWatch: waitForEver})
	var last error
	for _, err := range client.Watch(bounded(t), jobName, After(0)) {
		last = err
		_ = client.Close()
	}
	if status.Code(last) != codes.Canceled {
		t.Errorf("got %v", last)
	}
}

func TestWatchFreesItsStreamWhenTheConsumerStops(t *testing.T) {
	ended := make(chan struct{})
	fake := &fakeServer{onWatch: func(
		number int, request *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
	) error {
		defer close(ended)
		return waitForEver(number, request, send, ctx)
	}}
	ctx := bounded(t)
	for range connect(t, fake).Watch(ctx, jobName, After(0)) {
		break
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the server still serves the stream")
	}
}

func TestWatchBacksOffFromAServerThatAcceptsAndThenDropsIt(t *testing.T) {
	const drops = 12
	fake := &fakeServer{onWatch: func(
		number int, request *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
	) error {
		if number > drops {
			return cutFirst(0, nil)(number, request, send, ctx)
		}
		if err := send(heartbeatFrame(0)); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "lost the database")
	}}
	client := connect(t, fake)
	client.retry = backoff{first: time.Nanosecond, most: time.Millisecond}
	var longest time.Duration
	note := OnReconnect(func(_ error, delay time.Duration) { longest = max(longest, delay) })
	if _, err := collect(t, client, After(0), note); err != nil {
		t.Fatal(err)
	}
	if longest < 4*time.Nanosecond {
		t.Errorf("the longest delay was %s", longest)
	}
}

func TestWatchReconnectsSoonAfterAStreamThatStayedHealthy(t *testing.T) {
	const drops = 12
	fake := &fakeServer{onWatch: func(
		number int, request *jobplanev1.WatchJobRequest, send func(*frame) error, ctx context.Context,
	) error {
		if number > drops+1 {
			return cutFirst(0, nil)(number, request, send, ctx)
		}
		if number == drops+1 {
			if err := errors.Join(send(heartbeatFrame(0)), send(heartbeatFrame(0))); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "gone")
	}}
	client := connect(t, fake)
	client.retry = backoff{first: time.Nanosecond, most: time.Millisecond}
	var last time.Duration
	note := OnReconnect(func(_ error, delay time.Duration) { last = delay })
	if _, err := collect(t, client, After(0), note); err != nil {
		t.Fatal(err)
	}
	if last > time.Nanosecond {
		t.Errorf("the last delay was %s", last)
	}
}
