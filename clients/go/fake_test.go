package jobplane

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

const jobName = "projects/default/jobs/j1"

type watchHandler func(
	stream int, request *jobplanev1.WatchJobRequest, send func(*jobplanev1.WatchJobResponse) error,
	ctx context.Context,
) error

// fakeServer answers as its fields say and remembers what it was asked.
type fakeServer struct {
	jobplanev1.UnimplementedJobServiceServer

	onSubmit func(try int, request *jobplanev1.SubmitJobRequest) error
	onGet    func(ctx context.Context) error
	onWatch  watchHandler
	pages    map[string]*jobplanev1.ListJobsResponse

	onWatchJobs func(
		*jobplanev1.WatchJobsRequest, grpc.ServerStreamingServer[jobplanev1.WatchJobsResponse],
	) error
	// artifacts answers for content, if set.
	artifacts jobplanev1.ArtifactServiceServer

	mu      sync.Mutex
	submits []*jobplanev1.SubmitJobRequest
	watches []*jobplanev1.WatchJobRequest
	lists   []*jobplanev1.ListJobsRequest
}

func (s *fakeServer) SubmitJob(
	_ context.Context, request *jobplanev1.SubmitJobRequest,
) (*jobplanev1.SubmitJobResponse, error) {
	s.mu.Lock()
	s.submits = append(s.submits, request)
	try := len(s.submits)
	s.mu.Unlock()
	if s.onSubmit != nil {
		if err := s.onSubmit(try, request); err != nil {
			return nil, err
		}
	}
	return &jobplanev1.SubmitJobResponse{Job: &jobplanev1.Job{Name: jobName}}, nil
}

func (s *fakeServer) GetJob(
	ctx context.Context, request *jobplanev1.GetJobRequest,
) (*jobplanev1.GetJobResponse, error) {
	if s.onGet != nil {
		if err := s.onGet(ctx); err != nil {
			return nil, err
		}
	}
	job := finishedJob()
	job.Name = request.GetName()
	return &jobplanev1.GetJobResponse{Job: job}, nil
}

func (s *fakeServer) ListJobs(
	_ context.Context, request *jobplanev1.ListJobsRequest,
) (*jobplanev1.ListJobsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists = append(s.lists, request)
	return s.pages[request.GetPageToken()], nil
}

func (s *fakeServer) WatchJob(
	request *jobplanev1.WatchJobRequest, stream grpc.ServerStreamingServer[jobplanev1.WatchJobResponse],
) error {
	s.mu.Lock()
	s.watches = append(s.watches, request)
	number := len(s.watches)
	s.mu.Unlock()
	return s.onWatch(number, request, stream.Send, stream.Context())
}

func (s *fakeServer) WatchJobs(
	request *jobplanev1.WatchJobsRequest,
	stream grpc.ServerStreamingServer[jobplanev1.WatchJobsResponse],
) error {
	return s.onWatchJobs(request, stream)
}

func (s *fakeServer) watchCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watches)
}

// connect serves a fake in this process and gives a client that retries at once.
func connect(t *testing.T, fake *fakeServer, options ...Option) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	jobplanev1.RegisterJobServiceServer(server, fake)
	if fake.artifacts != nil {
		jobplanev1.RegisterArtifactServiceServer(server, fake.artifacts)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	dialer := func(ctx context.Context, _ string) (net.Conn, error) {
		return listener.DialContext(ctx)
	}
	options = append(options, WithPlaintext(), WithDialOptions(
		grpc.WithContextDialer(dialer),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	))
	client, err := Dial("passthrough:fake", options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	client.retry = backoff{first: time.Microsecond, most: time.Millisecond}
	return client
}

// bounded gives the context of a test, which ends a client that would wait for ever.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
