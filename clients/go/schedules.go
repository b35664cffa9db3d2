package jobplane

import (
	"context"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// CreateSchedule makes a schedule under an id of the client's project.
func (c *Client) CreateSchedule(
	ctx context.Context, id string, schedule *jobplanev1.Schedule,
) (*jobplanev1.Schedule, error) {
	if template := schedule.GetTemplate(); template != nil && template.Project == "" {
		template.Project = c.project
	}
	response, err := c.schedules.CreateSchedule(ctx, &jobplanev1.CreateScheduleRequest{
		Project: c.project, ScheduleId: id, Schedule: schedule,
	})
	return response.GetSchedule(), err
}

// Schedule reads a schedule with its next times and its last jobs, by name or by id.
func (c *Client) Schedule(ctx context.Context, schedule string) (*jobplanev1.Schedule, error) {
	request := &jobplanev1.GetScheduleRequest{Name: c.within("schedules", schedule)}
	response, err := c.schedules.GetSchedule(ctx, request)
	return response.GetSchedule(), err
}

// Schedules gives the schedules of the client's project, by name.
func (c *Client) Schedules(ctx context.Context) iter.Seq2[*jobplanev1.Schedule, error] {
	fetch := func(token string) (*jobplanev1.ListSchedulesResponse, error) {
		return c.schedules.ListSchedules(ctx, &jobplanev1.ListSchedulesRequest{
			Project: c.project, PageToken: token,
		})
	}
	return pages(fetch, (*jobplanev1.ListSchedulesResponse).GetSchedules)
}

// UpdateSchedule changes the fields at these paths, for example "cron" or "paused", to what
// the schedule says, and no others. The schedule's name may be an id.
func (c *Client) UpdateSchedule(
	ctx context.Context, schedule *jobplanev1.Schedule, paths ...string,
) (*jobplanev1.Schedule, error) {
	schedule.Name = c.within("schedules", schedule.GetName())
	response, err := c.schedules.UpdateSchedule(ctx, &jobplanev1.UpdateScheduleRequest{
		Schedule: schedule, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
	return response.GetSchedule(), err
}

// DeleteSchedule removes a schedule; its jobs stay.
func (c *Client) DeleteSchedule(ctx context.Context, schedule string) error {
	request := &jobplanev1.DeleteScheduleRequest{Name: c.within("schedules", schedule)}
	_, err := c.schedules.DeleteSchedule(ctx, request)
	return err
}

// TriggerSchedule submits the schedule's job now, paused or not; once, however often it was
// sent.
func (c *Client) TriggerSchedule(ctx context.Context, schedule string) (*jobplanev1.Job, error) {
	request := &jobplanev1.TriggerScheduleRequest{Name: c.within("schedules", schedule)}
	newKey(&request.IdempotencyKey)
	response, err := repeat(ctx, c.retry, func() (*jobplanev1.TriggerScheduleResponse, error) {
		return c.schedules.TriggerSchedule(ctx, request)
	})
	return response.GetSubmitted().GetJob(), err
}

// PreviewSchedule gives the next times at which such a schedule would fire; nothing is stored.
func (c *Client) PreviewSchedule(
	ctx context.Context, cron, timeZone string, count int32,
) ([]time.Time, error) {
	request := &jobplanev1.PreviewScheduleRequest{Cron: cron, TimeZone: timeZone, Count: count}
	response, err := c.schedules.PreviewSchedule(ctx, request)
	var times []time.Time
	for _, at := range response.GetTimes() {
		times = append(times, at.AsTime())
	}
	return times, err
}
