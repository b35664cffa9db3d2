package jobplane

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

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
