package jobplane

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

func TestSubmitMakesAnIdempotencyKeyAndKeepsItWhileItRepeats(t *testing.T) {
	fake := &fakeServer{onSubmit: func(try int, _ *jobplanev1.SubmitJobRequest) error {
		if try < 3 {
			return status.Error(codes.Unavailable, "starting")
		}
		return nil
	}}
	response, err := connect(t, fake).Submit(bounded(t), &jobplanev1.JobSpec{})
	if err != nil || response.GetJob().GetName() != jobName {
		t.Fatal(response, err)
	}
	key := fake.submits[0].GetIdempotencyKey()
	if key == "" || len(fake.submits) != 3 || fake.submits[2].GetIdempotencyKey() != key {
		t.Errorf("got %v", fake.submits)
	}
}

func TestSubmitGivesUpOnAServerThatStaysAway(t *testing.T) {
	fake := &fakeServer{onSubmit: func(int, *jobplanev1.SubmitJobRequest) error {
		return status.Error(codes.Unavailable, "gone")
	}}
	_, err := connect(t, fake).Submit(bounded(t), &jobplanev1.JobSpec{})
	if status.Code(err) != codes.Unavailable || len(fake.submits) != submitTries {
		t.Errorf("got %v after %d tries", err, len(fake.submits))
	}
}

func TestSubmitSendsWhatItsOptionsSay(t *testing.T) {
	fake := &fakeServer{}
	client := connect(t, fake, WithProject("lab"))
	_, err := client.Submit(
		bounded(t), &jobplanev1.JobSpec{}, WithIdempotencyKey("k"), WithQueue("slow"),
		WithPriority(0), WithLabels(map[string]string{"team": "a"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	got := fake.submits[0]
	if got.GetProject() != "lab" || got.GetIdempotencyKey() != "k" || got.GetQueue() != "slow" ||
		got.Priority == nil || got.GetLabels()["team"] != "a" {
		t.Errorf("got %v", got)
	}
}

func TestListReadsPageAfterPage(t *testing.T) {
	job := func(id string) *jobplanev1.Job { return &jobplanev1.Job{JobId: id} }
	fake := &fakeServer{pages: map[string]*jobplanev1.ListJobsResponse{
		"":   {Jobs: []*jobplanev1.Job{job("a"), job("b")}, NextPageToken: "t1"},
		"t1": {NextPageToken: "t2"},
		"t2": {Jobs: []*jobplanev1.Job{job("c")}},
	}}
	var ids []string
	for job, err := range connect(t, fake).List(bounded(t), "done = true", WithOrder("priority")) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.GetJobId())
	}
	if !slices.Equal(ids, []string{"a", "b", "c"}) {
		t.Errorf("got %v", ids)
	}
	if last := fake.lists[2]; last.GetFilter() != "done = true" || last.GetOrderBy() != "priority" {
		t.Errorf("the last page was asked with %v", last)
	}
}

func TestWaitGivesTheFinishedJob(t *testing.T) {
	gone := func(context.Context) error { return status.Error(codes.Unavailable, "gone") }
	job, err := connect(t, &fakeServer{onWatch: cutFirst(1, gone)}).Wait(bounded(t), "j1")
	if err != nil || !job.GetDone() || job.GetName() != jobName {
		t.Errorf("got %v, %v", job, err)
	}
}

func TestErrorsCarryWhatTheServerSaid(t *testing.T) {
	answer, err := status.New(codes.InvalidArgument, "2 fields are wrong").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID_SPEC", Metadata: map[string]string{"kind": "probe"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "spec.probe.steps", Description: "must be at most 100000"},
		}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)},
		&errdetails.RequestInfo{RequestId: "r1"},
	)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(int, *jobplanev1.SubmitJobRequest) error { return answer.Err() }
	_, err = connect(t, &fakeServer{onSubmit: refuse}).Submit(bounded(t), &jobplanev1.JobSpec{})
	known := (*Error)(nil)
	if !errors.As(err, &known) {
		t.Fatalf("got %v", err)
	}
	want := "InvalidArgument (INVALID_SPEC): 2 fields are wrong; " +
		"spec.probe.steps: must be at most 100000"
	if known.Error() != want || known.Metadata["kind"] != "probe" ||
		known.RetryAfter != 2*time.Second || known.RequestID != "r1" {
		t.Errorf("got %+v", known)
	}
}

func TestAnErrorNamesAWrongFieldOnce(t *testing.T) {
	err := &Error{
		Code:       codes.InvalidArgument,
		Message:    "steps: must be at least 0",
		Violations: []Violation{{Field: "steps", Description: "must be at least 0"}},
	}
	if got := err.Error(); got != "InvalidArgument: steps: must be at least 0" {
		t.Errorf("got %s", got)
	}
}

func TestAnErrorNamesItsRequestAsTheTrailersOfTheServerDo(t *testing.T) {
	fake := &fakeServer{onGet: func(ctx context.Context) error {
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-request-id", "r2")); err != nil {
			return err
		}
		return status.Error(codes.NotFound, "no such job")
	}}
	_, err := connect(t, fake).Get(bounded(t), "j1")
	known := (*Error)(nil)
	if !errors.As(err, &known) || known.RequestID != "r2" {
		t.Errorf("got %+v", known)
	}
}

func TestACallWithoutADeadlineIsBounded(t *testing.T) {
	fake := &fakeServer{onGet: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	client := connect(t, fake, WithTimeout(10*time.Millisecond))
	_, err := client.Get(context.Background(), "j1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestTheTokenGoesWithEveryCall(t *testing.T) {
	var got []string
	fake := &fakeServer{onGet: func(ctx context.Context) error {
		got = metadata.ValueFromIncomingContext(ctx, "authorization")
		return nil
	}}
	if _, err := connect(t, fake, WithToken("secret")).Get(bounded(t), "j1"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"Bearer secret"}) {
		t.Errorf("got %v", got)
	}
}

func TestOnlyAddressesOfThisMachineArePlaintextByDefault(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:7070": true, "localhost:7070": true, "[::1]:7070": true,
		"unix:/run/jobplane.sock": true, "jobs.example.com:443": false,
		"10.0.0.1:7070": false, "localhost.example.com:1": false,
	} {
		if got := newSettings(address, nil).plaintext; got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}

func TestDelaysGrowToTheirCeilingAndKeepTheHintOfTheServer(t *testing.T) {
	retry := backoff{first: 200 * time.Millisecond, most: 10 * time.Second}
	for failures := range 100 {
		if delay := retry.delay(failures, 0); delay < 0 || delay > 10*time.Second {
			t.Errorf("%d failures: got %s", failures, delay)
		}
	}
	if delay := retry.delay(1, time.Second); delay < time.Second || delay > 1200*time.Millisecond {
		t.Errorf("with a hint of 1 s: got %s", delay)
	}
	if delay := retry.delay(1, time.Hour); delay > longestHint+200*time.Millisecond {
		t.Errorf("with a hint of 1 h: got %s", delay)
	}
}
