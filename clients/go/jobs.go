package jobplane

import (
	"context"
	"iter"
	"strings"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// submitTries is how often a submit is sent in all while the server cannot be reached.
const submitTries = 4

// SubmitOption changes a submit; any function over the request is one.
type SubmitOption func(*jobplanev1.SubmitJobRequest)

// WithIdempotencyKey makes repeated submits, also those of other processes, give the one
// job that the first of them made.
func WithIdempotencyKey(key string) SubmitOption {
	return func(r *jobplanev1.SubmitJobRequest) { r.IdempotencyKey = key }
}

// WithQueue sets the queue.
func WithQueue(queue string) SubmitOption {
	return func(r *jobplanev1.SubmitJobRequest) { r.Queue = queue }
}

// WithPriority sets the priority, 0 to 1000; a larger one runs sooner.
func WithPriority(priority int32) SubmitOption {
	return func(r *jobplanev1.SubmitJobRequest) { r.Priority = &priority }
}

// WithLabels sets the labels.
func WithLabels(labels map[string]string) SubmitOption {
	return func(r *jobplanev1.SubmitJobRequest) { r.Labels = labels }
}

// Submit makes a job durable. It is repeated while the server cannot be reached, and makes
// one job however often it was sent: where no idempotency key is given it makes one.
func (c *Client) Submit(
	ctx context.Context, spec *jobplanev1.JobSpec, options ...SubmitOption,
) (*jobplanev1.SubmitJobResponse, error) {
	request := &jobplanev1.SubmitJobRequest{Project: c.project, Spec: spec}
	for _, apply := range options {
		apply(request)
	}
	newKey(&request.IdempotencyKey)
	return repeat(ctx, c.retry, func() (*jobplanev1.SubmitJobResponse, error) {
		return c.jobs.SubmitJob(ctx, request)
	})
}

// Get reads one job, by name or by id.
func (c *Client) Get(ctx context.Context, job string) (*jobplanev1.Job, error) {
	response, err := c.jobs.GetJob(ctx, &jobplanev1.GetJobRequest{Name: c.Name(job)})
	return response.GetJob(), err
}

// Cancel asks for the end of a job. It is then CANCELLED, or CANCELLING with the time at
// which the server will force the end. Cancelling it again changes nothing.
func (c *Client) Cancel(ctx context.Context, job, reason string) (*jobplanev1.Job, error) {
	request := &jobplanev1.CancelJobRequest{Name: c.Name(job), Reason: reason}
	response, err := c.jobs.CancelJob(ctx, request)
	return response.GetJob(), err
}

// ListOption changes a list; any function over the request of a page is one.
type ListOption func(*jobplanev1.ListJobsRequest)

// WithOrder sorts, for example by "finish_time desc"; the default is "create_time desc".
func WithOrder(order string) ListOption {
	return func(r *jobplanev1.ListJobsRequest) { r.OrderBy = order }
}

// List gives every job that matches a filter such as `status = RUNNING AND kind = "probe"`,
// reading page after page; an empty filter matches all. An error ends it.
func (c *Client) List(
	ctx context.Context, filter string, options ...ListOption,
) iter.Seq2[*jobplanev1.Job, error] {
	fetch := func(token string) (*jobplanev1.ListJobsResponse, error) {
		request := &jobplanev1.ListJobsRequest{Project: c.project, Filter: filter}
		for _, apply := range options {
			apply(request)
		}
		request.PageToken = token
		return c.jobs.ListJobs(ctx, request)
	}
	return pages(fetch, (*jobplanev1.ListJobsResponse).GetJobs)
}

// Wait gives a job once it is finished, however it ended: see its Status and Failure.
func (c *Client) Wait(ctx context.Context, job string) (*jobplanev1.Job, error) {
	for _, err := range c.Watch(ctx, job, DurableOnly(), EventTypes("finished")) {
		if err != nil {
			return nil, err
		}
	}
	return c.Get(ctx, job)
}

// Name gives the full name of a job of the client's project; a full name stays as it is.
func (c *Client) Name(job string) string {
	if strings.Contains(job, "/") {
		return job
	}
	return "projects/" + c.project + "/jobs/" + job
}
