package jobplane

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	probev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/kinds/probe/v1"
	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// realClient connects to the server that JOBPLANE_ADDRESS names; tests/clients starts one.
func realClient(t *testing.T) *Client {
	t.Helper()
	address := os.Getenv("JOBPLANE_ADDRESS")
	if address == "" {
		t.Skip("JOBPLANE_ADDRESS names no server; run: pytest tests/clients/test_go.py")
	}
	client, err := Dial(address, WithProject("go"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func probe(rows int64) *jobplanev1.JobSpec {
	return &jobplanev1.JobSpec{Kind: &jobplanev1.JobSpec_Probe{Probe: &probev1.ProbeSpec{
		Steps: proto.Int32(2), TableRows: rows,
	}}}
}

// must gives what a call gave, or ends the test with its error.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// gather reads a list to its end.
func gather[T any](t *testing.T, list func(func(T, error) bool)) []T {
	t.Helper()
	var items []T
	for item, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

func TestContentGoesUpAndComesDown(t *testing.T) {
	client, ctx := realClient(t), bounded(t)
	content := []byte("a,b\n" + strings.Repeat("1,2\n", 300_000))
	artifact := must[*jobplanev1.Artifact](t)(
		client.Upload(ctx, bytes.NewReader(content), WithFilename("prices.csv")),
	)
	again := must[*jobplanev1.Artifact](t)(client.Upload(ctx, bytes.NewReader(content)))
	if again.GetName() != artifact.GetName() {
		t.Errorf("the same content became %s and %s", artifact.GetName(), again.GetName())
	}
	var down bytes.Buffer
	size := must[int64](t)(client.Download(ctx, artifact.GetName(), &down))
	if size != int64(len(content)) || !bytes.Equal(down.Bytes(), content) {
		t.Errorf("%d bytes came down of %d", size, len(content))
	}
	request := &jobplanev1.RegisterDatasetRequest{
		DatasetId: "prices", Version: "v1", Artifact: artifact.GetName(), Format: "table",
	}
	made := must[*jobplanev1.Dataset](t)(client.RegisterDataset(ctx, request))
	found := must[*jobplanev1.Dataset](t)(client.Dataset(ctx, "prices", "v1"))
	if !proto.Equal(made, found) || len(gather(t, client.Datasets(ctx, `format = "table"`))) != 1 {
		t.Errorf("registered %v, found %v", made, found)
	}
}

func TestATableIsReadRowByRow(t *testing.T) {
	client, ctx := realClient(t), bounded(t)
	submitted := must[*jobplanev1.SubmitJobResponse](t)(client.Submit(ctx, probe(2500)))
	job := must[*jobplanev1.Job](t)(client.Wait(ctx, submitted.GetJob().GetName()))
	names := []string{}
	for _, artifact := range gather(t, client.Artifacts(ctx, job.GetName())) {
		names = append(names, artifact.GetArtifactId())
	}
	table := must[*jobplanev1.Artifact](t)(client.Artifact(ctx, job.GetName(), "table.csv"))
	rows := gather(t, client.Rows(ctx, table.GetName()))
	if !slices.Contains(names, "table.csv") || len(rows) != 2500 {
		t.Errorf("%d rows in %v", len(rows), names)
	}
	if events := gather(t, client.History(ctx, job.GetName(), 0)); events[0].GetSequence() != 1 {
		t.Errorf("the history begins with %v", events[0])
	}
}

func TestQueuesAndQuotasAreSet(t *testing.T) {
	client, ctx := realClient(t), bounded(t)
	const cordoned = jobplanev1.QueueState_QUEUE_STATE_CORDONED
	must[*jobplanev1.Queue](t)(client.SetQueueState(ctx, "go-night", cordoned, "dark"))
	waiting := must[*jobplanev1.SubmitJobResponse](t)(
		client.Submit(ctx, probe(0), WithQueue("go-night")),
	)
	quota := must[*jobplanev1.Quota](t)(client.UpdateQuota(ctx, map[string]float64{"queued": 1}))
	if quota.GetLimits()["queued"] != 1 {
		t.Errorf("got %v", quota)
	}
	if _, err := client.Submit(ctx, probe(0)); ReasonOf(err) != "QUOTA_EXCEEDED" {
		t.Errorf("got %v", err)
	}
	must[*jobplanev1.Quota](t)(client.UpdateQuota(ctx, nil, "queued"))
	if affected, err := client.CancelAll(ctx, `queue = "go-night"`, "over", false); affected != 1 {
		t.Errorf("cancelled %d, %v", affected, err)
	}
	total, groups, err := client.Count(ctx, `queue = "go-night"`, "status")
	if total != 1 || groups["CANCELLED"] != 1 || err != nil {
		t.Errorf("counted %d, %v, %v", total, groups, err)
	}
	if err := client.Delete(ctx, waiting.GetJob().GetName()); err != nil {
		t.Error(err)
	}
}

func TestASchedulesLife(t *testing.T) {
	client, ctx := realClient(t), bounded(t)
	schedule := &jobplanev1.Schedule{
		Cron: "0 3 * * *", Template: &jobplanev1.SubmitJobRequest{Spec: probe(0)},
	}
	must[*jobplanev1.Schedule](t)(client.CreateSchedule(ctx, "nightly", schedule))
	job := must[*jobplanev1.Job](t)(client.TriggerSchedule(ctx, "nightly"))
	if done := must[*jobplanev1.Job](t)(client.Wait(ctx, job.GetName())); !done.GetDone() {
		t.Errorf("got %v", done)
	}
	paused := must[*jobplanev1.Schedule](t)(
		client.UpdateSchedule(ctx, &jobplanev1.Schedule{Name: "nightly", Paused: true}, "paused"),
	)
	if !paused.GetPaused() || len(gather(t, client.Schedules(ctx))) != 1 {
		t.Errorf("got %v", paused)
	}
	if times, err := client.PreviewSchedule(ctx, "0 3 * * *", "UTC", 2); len(times) != 2 {
		t.Errorf("got %v, %v", times, err)
	}
	if err := client.DeleteSchedule(ctx, "nightly"); err != nil {
		t.Error(err)
	}
}

func TestASetIsFollowedUntilAllAreFinished(t *testing.T) {
	client, ctx := realClient(t), bounded(t)
	labels := WithLabels(map[string]string{"set": "go"})
	for range 3 {
		must[*jobplanev1.SubmitJobResponse](t)(client.Submit(ctx, probe(0), labels))
	}
	finished := map[string]bool{}
	for _, change := range gather(t, client.WatchJobs(ctx, `labels.set = "go"`, UntilAllFinished())) {
		finished[change.Job.GetName()] = change.Job.GetDone()
	}
	if len(finished) != 3 {
		t.Errorf("got %v", finished)
	}
}
