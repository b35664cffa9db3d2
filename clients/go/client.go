// Package jobplane submits, watches and steers the jobs of a Jobplane server.
//
// A [Client] has methods for what most programs do with jobs. The generated stubs of every
// service work over [Client.Conn], with the same credentials, time limits and errors.
package jobplane

import (
	"errors"
	"time"

	"google.golang.org/grpc"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// Client talks to one server. It is safe for use by many goroutines.
type Client struct {
	project string
	conn    *grpc.ClientConn
	watches *grpc.ClientConn
	jobs    jobplanev1.JobServiceClient
	streams jobplanev1.JobServiceClient
	retry   backoff

	artifacts jobplanev1.ArtifactServiceClient
	datasets  jobplanev1.DatasetServiceClient
	models    jobplanev1.ModelServiceClient
	quotas    jobplanev1.QuotaServiceClient
	schedules jobplanev1.ScheduleServiceClient
}

// Dial prepares a client for the server at address, for example "127.0.0.1:7070". It opens
// no connection yet: the first call does, and every later one reopens it where it broke.
//
// The connection is encrypted, except to an address of this machine.
func Dial(address string, options ...Option) (*Client, error) {
	settings := newSettings(address, options)
	conn, err := grpc.NewClient(address, settings.dialOptions()...)
	if err != nil {
		return nil, err
	}
	// Open watches count against the streams of a connection, so they have one of their own.
	watches, err := grpc.NewClient(address, settings.dialOptions()...)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Client{
		project: settings.project,
		conn:    conn,
		watches: watches,
		jobs:    jobplanev1.NewJobServiceClient(conn),
		streams: jobplanev1.NewJobServiceClient(watches),
		retry:   backoff{first: 200 * time.Millisecond, most: 10 * time.Second},

		artifacts: jobplanev1.NewArtifactServiceClient(conn),
		datasets:  jobplanev1.NewDatasetServiceClient(conn),
		models:    jobplanev1.NewModelServiceClient(conn),
		quotas:    jobplanev1.NewQuotaServiceClient(conn),
		schedules: jobplanev1.NewScheduleServiceClient(conn),
	}, nil
}

// Conn gives the connection for the generated stubs of other services.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Close ends the connections, and with them every watch.
func (c *Client) Close() error { return errors.Join(c.conn.Close(), c.watches.Close()) }
