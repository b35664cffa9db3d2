package jobplane

import (
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

type setFrame = jobplanev1.WatchJobsResponse

func matching(name string, priority int32) *jobplanev1.WatchJobsResponse_JobChange {
	return &jobplanev1.WatchJobsResponse_JobChange{
		Job: &jobplanev1.Job{Name: name, Priority: priority}, MatchesFilter: true,
	}
}

func changesFrame(cursor string, changes ...*jobplanev1.WatchJobsResponse_JobChange) *setFrame {
	return &setFrame{Cursor: cursor, Frame: &jobplanev1.WatchJobsResponse_Changes_{
		Changes: &jobplanev1.WatchJobsResponse_Changes{Changes: changes},
	}}
}

func syncedFrame(cursor string) *setFrame {
	return &setFrame{Cursor: cursor, Frame: &jobplanev1.WatchJobsResponse_Synced_{}}
}

func resetFrame() *setFrame { return &setFrame{Frame: &jobplanev1.WatchJobsResponse_Reset_{}} }

func finishedSet() *setFrame {
	return &setFrame{Frame: &jobplanev1.WatchJobsResponse_End{End: &jobplanev1.WatchJobResponse_End{
		Reason: jobplanev1.WatchJobResponse_End_REASON_FINISHED,
	}}}
}

// setStreams answers each watch of a set with its frames; all but the last one break.
func setStreams(streams ...[]*setFrame) (*fakeServer, *[]string) {
	cursors := &[]string{}
	return &fakeServer{onWatchJobs: func(
		request *jobplanev1.WatchJobsRequest, stream grpc.ServerStreamingServer[setFrame],
	) error {
		number := len(*cursors)
		*cursors = append(*cursors, request.GetCursor())
		for _, frame := range streams[number] {
			if err := stream.Send(frame); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "cut")
	}}, cursors
}

func TestASetThatIsCutTellsNothingTwice(t *testing.T) {
	fake, cursors := setStreams(
		[]*setFrame{changesFrame("c1", matching("a", 1), matching("b", 1))},
		[]*setFrame{changesFrame("c2", matching("b", 1), matching("a", 2)), syncedFrame("c3")},
		[]*setFrame{finishedSet()},
	)
	var told []string
	for change, err := range connect(t, fake).WatchJobs(bounded(t), "", UntilAllFinished()) {
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, change.Job.GetName()+"@"+change.Cursor)
	}
	if !slices.Equal(told, []string{"a@c1", "b@c1", "a@c2"}) {
		t.Errorf("told %v", told)
	}
	if !slices.Equal(*cursors, []string{"", "c1", "c3"}) {
		t.Errorf("came back with %v", *cursors)
	}
}

func TestAJobThatAFreshListLeavesOutIsGone(t *testing.T) {
	fake, _ := setStreams(
		[]*setFrame{changesFrame("c1", matching("a", 1), matching("b", 1)), syncedFrame("c2")},
		[]*setFrame{resetFrame(), changesFrame("c3", matching("b", 1)), syncedFrame("c4"), finishedSet()},
	)
	var gone []string
	for change, err := range connect(t, fake).WatchJobs(bounded(t), "") {
		if err != nil {
			t.Fatal(err)
		}
		if !change.Matches {
			gone = append(gone, change.Job.GetName())
		}
	}
	if !slices.Equal(gone, []string{"a"}) {
		t.Errorf("gone are %v", gone)
	}
}

func TestARefusedSetIsAnError(t *testing.T) {
	fake := &fakeServer{onWatchJobs: func(
		*jobplanev1.WatchJobsRequest, grpc.ServerStreamingServer[setFrame],
	) error {
		return status.Error(codes.InvalidArgument, "filter")
	}}
	for _, err := range connect(t, fake).WatchJobs(bounded(t), "no = such") {
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("got %v", err)
		}
	}
}
