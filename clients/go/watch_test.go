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
