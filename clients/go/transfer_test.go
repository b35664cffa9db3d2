package jobplane

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

const content = "0123456789abcdef"

// fakeArtifacts keeps one content and breaks every transfer after some bytes.
type fakeArtifacts struct {
	jobplanev1.UnimplementedArtifactServiceServer

	cutAfter int
	damage   bool
	received []byte
	offsets  []int64
	asked    int
}

func (s *fakeArtifacts) ReadArtifact(
	request *jobplanev1.ReadArtifactRequest,
	stream grpc.ServerStreamingServer[jobplanev1.ReadArtifactResponse],
) error {
	s.offsets = append(s.offsets, request.GetOffset())
	digest := sha256.Sum256([]byte(content))
	for sent, at := 0, int(request.GetOffset()); at < len(content); sent, at = sent+4, at+4 {
		if sent == s.cutAfter {
			return status.Error(codes.Unavailable, "cut")
		}
		data := []byte(content[at : at+4])
		frame := &jobplanev1.ReadArtifactResponse{
			Artifact: &jobplanev1.Artifact{Sha256: hex.EncodeToString(digest[:])},
			Offset:   int64(at), Data: data, Crc32C: crc32.Checksum(data, castagnoli),
			End: at+4 == len(content),
		}
		if s.damage {
			data[0]++
		}
		if err := stream.Send(frame); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeArtifacts) UploadArtifact(
	stream grpc.ClientStreamingServer[jobplanev1.UploadArtifactRequest, jobplanev1.UploadArtifactResponse],
) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	answer := &jobplanev1.UploadArtifactResponse{ReceivedBytes: int64(len(s.received))}
	if first.GetHeader().GetAsksReceived() {
		s.asked++
		return stream.SendAndClose(answer)
	}
	s.offsets = append(s.offsets, first.GetHeader().GetOffset())
	for message, err := stream.Recv(); err == nil; message, err = stream.Recv() {
		chunk := message.GetChunk()
		if s.cutAfter > 0 {
			s.received = append(s.received, chunk[:s.cutAfter]...)
			s.cutAfter = 0
			return status.Error(codes.Unavailable, "cut")
		}
		s.received = append(s.received, chunk...)
	}
	answer.Artifact = &jobplanev1.Artifact{Name: "projects/default/artifacts/x"}
	return stream.SendAndClose(answer)
}

func TestADownloadGoesOnAfterEveryCut(t *testing.T) {
	fake := &fakeArtifacts{cutAfter: 4}
	var down bytes.Buffer
	size, err := connectArtifacts(t, fake).Download(bounded(t), "a", &down)
	if err != nil || size != 16 || down.String() != content {
		t.Errorf("got %d bytes, %q, %v", size, down.String(), err)
	}
	if !slices.Equal(fake.offsets, []int64{0, 4, 8, 12}) {
		t.Errorf("asked from %v", fake.offsets)
	}
}

func TestADamagedDownloadIsAnError(t *testing.T) {
	fake := &fakeArtifacts{cutAfter: -1, damage: true}
	_, err := connectArtifacts(t, fake).Download(bounded(t), "a", &bytes.Buffer{})
	if ReasonOf(err) != "ARTIFACT_CORRUPT" || len(fake.offsets) != 1 {
		t.Errorf("got %v after %d tries", err, len(fake.offsets))
	}
}

func TestADownloadGivesUpWhenNothingComes(t *testing.T) {
	fake := &fakeArtifacts{cutAfter: 0}
	_, err := connectArtifacts(t, fake).Download(bounded(t), "a", &bytes.Buffer{})
	if status.Code(err) != codes.Unavailable || len(fake.offsets) != transferTries {
		t.Errorf("got %v after %d tries", err, len(fake.offsets))
	}
}

func TestAnUploadGoesOnWhereTheServerStopped(t *testing.T) {
	fake := &fakeArtifacts{cutAfter: 5}
	client := connectArtifacts(t, fake)
	artifact, err := client.Upload(bounded(t), bytes.NewReader([]byte(content)))
	if err != nil || artifact.GetName() == "" || string(fake.received) != content {
		t.Errorf("got %v, %v, %q", artifact, err, fake.received)
	}
	if !slices.Equal(fake.offsets, []int64{0, 5}) || fake.asked != 2 {
		t.Errorf("sent from %v, asked %d times", fake.offsets, fake.asked)
	}
}

func TestReadsOfEveryServiceAreRepeatedAndChangesAreNot(t *testing.T) {
	names := repeatable()
	for _, method := range []string{"JobService\", \"method\": \"GetJob", "QuotaService\", \"method\": \"GetQuota"} {
		if !slices.ContainsFunc(names, func(name string) bool { return bytes.Contains([]byte(name), []byte(method)) }) {
			t.Errorf("%s is not in %v", method, names)
		}
	}
	for _, name := range names {
		if bytes.Contains([]byte(name), []byte("Update")) || bytes.Contains([]byte(name), []byte("Submit")) {
			t.Errorf("%s must not be repeated", name)
		}
	}
}

// connectArtifacts serves fake artifacts beside a fake server without jobs.
func connectArtifacts(t *testing.T, artifacts jobplanev1.ArtifactServiceServer) *Client {
	t.Helper()
	return connect(t, &fakeServer{artifacts: artifacts})
}
