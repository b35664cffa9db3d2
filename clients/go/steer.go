package jobplane

import (
	"context"
	"iter"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// Pause asks a job to stop where it can go on from. It is then PAUSED, or PAUSING.
func (c *Client) Pause(ctx context.Context, job, reason string) (*jobplanev1.Job, error) {
	request := &jobplanev1.PauseJobRequest{Name: c.Name(job), Reason: reason}
	response, err := c.jobs.PauseJob(ctx, request)
	return response.GetJob(), err
}

// Resume lets a paused job go on.
func (c *Client) Resume(ctx context.Context, job, reason string) (*jobplanev1.Job, error) {
	request := &jobplanev1.ResumeJobRequest{Name: c.Name(job), Reason: reason}
	response, err := c.jobs.ResumeJob(ctx, request)
	return response.GetJob(), err
}

// Answer answers the open question of a job, by the ids of its parts.
func (c *Client) Answer(
	ctx context.Context, job string, answers map[string]string,
) (*jobplanev1.Job, error) {
	waiting, err := c.Get(ctx, job)
	if err != nil {
		return nil, err
	}
	response, err := c.jobs.ProvideJobInput(ctx, &jobplanev1.ProvideJobInputRequest{
		Name: c.Name(job), InputId: waiting.GetPendingInput().GetInputId(), Answers: answers,
	})
	return response.GetJob(), err
}

// Retry makes a new job from a finished one: from its last checkpoint, or afresh.
func (c *Client) Retry(
	ctx context.Context, job string, fromCheckpoint bool,
) (*jobplanev1.Job, error) {
	request := &jobplanev1.RetryJobRequest{Name: c.Name(job), FromCheckpoint: fromCheckpoint}
	newKey(&request.IdempotencyKey)
	response, err := repeat(ctx, c.retry, func() (*jobplanev1.RetryJobResponse, error) {
		return c.jobs.RetryJob(ctx, request)
	})
	return response.GetJob(), err
}

// Delete removes the record of a finished job, with its events and artifacts.
func (c *Client) Delete(ctx context.Context, job string) error {
	_, err := c.jobs.DeleteJob(ctx, &jobplanev1.DeleteJobRequest{Name: c.Name(job)})
	return err
}

// Count gives the exact number of jobs that match a filter, and by the groups of a field such
// as "status", unless that is empty.
func (c *Client) Count(
	ctx context.Context, filter, groupBy string,
) (total int64, groups map[string]int64, err error) {
	request := &jobplanev1.CountJobsRequest{Project: c.project, Filter: filter, GroupBy: groupBy}
	response, err := c.jobs.CountJobs(ctx, request)
	return response.GetTotal(), response.GetGroups(), err
}

// History gives the durable events of a job so far, behind a sequence.
func (c *Client) History(
	ctx context.Context, job string, after int64,
) iter.Seq2[*jobplanev1.JobEvent, error] {
	fetch := func(token string) (*jobplanev1.ListJobEventsResponse, error) {
		return c.jobs.ListJobEvents(ctx, &jobplanev1.ListJobEventsRequest{
			Name: c.Name(job), AfterSequence: after, PageToken: token, PageSize: 500,
		})
	}
	return pages(fetch, (*jobplanev1.ListJobEventsResponse).GetEvents)
}

// CancelAll cancels every job that matches a filter and is not finished, in as many calls as
// it takes, and gives how many. With dryRun it only counts them.
func (c *Client) CancelAll(
	ctx context.Context, filter, reason string, dryRun bool,
) (affected int64, err error) {
	request := &jobplanev1.BatchCancelJobsRequest{
		Project: c.project, Filter: filter, Reason: reason, ValidateOnly: dryRun,
	}
	for more := true; more; {
		response, err := c.jobs.BatchCancelJobs(ctx, request)
		if err != nil {
			return affected, err
		}
		affected += int64(response.GetAffected())
		more = response.GetMore()
	}
	return affected, nil
}
