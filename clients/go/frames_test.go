package jobplane

import (
	"context"

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
