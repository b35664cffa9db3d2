package jobplane

import (
	"context"
	"iter"
	"slices"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// Quota reads the limits of the client's project, and how much of them is used.
func (c *Client) Quota(ctx context.Context) (*jobplanev1.Quota, error) {
	request := &jobplanev1.GetQuotaRequest{Name: c.quotaName()}
	response, err := c.quotas.GetQuota(ctx, request)
	return response.GetQuota(), err
}

// UpdateQuota changes limits by metric and no others; those named in remove are taken away.
func (c *Client) UpdateQuota(
	ctx context.Context, limits map[string]float64, remove ...string,
) (*jobplanev1.Quota, error) {
	mask := &fieldmaskpb.FieldMask{}
	for metric := range limits {
		mask.Paths = append(mask.Paths, "limits."+metric)
	}
	for _, metric := range remove {
		mask.Paths = append(mask.Paths, "limits."+metric)
	}
	slices.Sort(mask.Paths)
	response, err := c.quotas.UpdateQuota(ctx, &jobplanev1.UpdateQuotaRequest{
		Quota: &jobplanev1.Quota{Name: c.quotaName(), Limits: limits}, UpdateMask: mask,
	})
	return response.GetQuota(), err
}

// Queues gives the queues of the server with their state and depth, by name.
func (c *Client) Queues(ctx context.Context) iter.Seq2[*jobplanev1.Queue, error] {
	fetch := func(token string) (*jobplanev1.ListQueuesResponse, error) {
		return c.quotas.ListQueues(ctx, &jobplanev1.ListQueuesRequest{PageToken: token})
	}
	return pages(fetch, (*jobplanev1.ListQueuesResponse).GetQueues)
}

// SetQueueState opens, cordons or closes a queue.
func (c *Client) SetQueueState(
	ctx context.Context, queue string, state jobplanev1.QueueState, reason string,
) (*jobplanev1.Queue, error) {
	request := &jobplanev1.SetQueueStateRequest{Name: "queues/" + queue, State: state, Reason: reason}
	response, err := c.quotas.SetQueueState(ctx, request)
	return response.GetQueue(), err
}

func (c *Client) quotaName() string { return "projects/" + c.project + "/quota" }
