package jobplane

import (
	"context"
	"slices"
	"testing"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

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
