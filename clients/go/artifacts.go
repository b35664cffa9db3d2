package jobplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

const (
	// chunkBytes is how much of an upload one message carries.
	chunkBytes = 512 << 10
	// transferTries is how often in a row a transfer may break without getting further.
	transferTries = 6
	// transferSilence is how long a transfer may stand still before it is tried again.
	transferSilence = time.Minute
	// rowsAtOnce is the most that the contract gives in one page.
	rowsAtOnce = 2000
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Artifacts gives the artifacts of a job, complete and readable.
func (c *Client) Artifacts(ctx context.Context, job string) iter.Seq2[*jobplanev1.Artifact, error] {
	fetch := func(token string) (*jobplanev1.ListArtifactsResponse, error) {
		return c.artifacts.ListArtifacts(ctx, &jobplanev1.ListArtifactsRequest{
			Parent: c.Name(job), PageToken: token,
		})
	}
	return pages(fetch, (*jobplanev1.ListArtifactsResponse).GetArtifacts)
}

// Artifact reads what is known of an artifact of a job, by its name within the job.
func (c *Client) Artifact(ctx context.Context, job, artifact string) (*jobplanev1.Artifact, error) {
	request := &jobplanev1.GetArtifactRequest{Name: c.Name(job) + "/artifacts/" + artifact}
	response, err := c.artifacts.GetArtifact(ctx, request)
	return response.GetArtifact(), err
}

// Download writes the content of an artifact, by its full name, and gives how many bytes it
// has. After a cut it goes on with the first byte that is missing. Every frame and the whole
// are checked; what was written before an error is not to be used.
func (c *Client) Download(ctx context.Context, name string, to io.Writer) (int64, error) {
	d := &download{name: name, to: to, digest: sha256.New()}
	for {
		before := d.offset
		err := d.follow(ctx, c.artifacts)
		if errors.Is(err, errOver) {
			return d.offset, nil
		}
		if d.offset > before {
			d.failures = 0
		}
		d.failures++
		if ctx.Err() != nil || !isTorn(err) || d.failures == transferTries {
			return d.offset, err
		}
		if err := pause(ctx, c.retry.delay(d.failures, hintOf(err))); err != nil {
			return d.offset, err
		}
	}
}

type download struct {
	name     string
	to       io.Writer
	digest   hash.Hash
	sha256   string
	offset   int64
	failures int
}

func (d *download) follow(ctx context.Context, artifacts jobplanev1.ArtifactServiceClient) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(transferSilence, func() { cancel(errStalled) })
	defer silence.Stop()
	stream, err := artifacts.ReadArtifact(ctx, &jobplanev1.ReadArtifactRequest{
		Name: d.name, Offset: d.offset, ExpectedSha256: d.sha256,
	})
	for err == nil {
		silence.Reset(transferSilence)
		var frame *jobplanev1.ReadArtifactResponse
		if frame, err = stream.Recv(); err == nil {
			silence.Stop()
			err = d.take(frame)
		}
	}
	return explain(ctx, err)
}

// take writes what a frame brought. Its error ends the stream.
func (d *download) take(frame *jobplanev1.ReadArtifactResponse) error {
	if d.sha256 == "" {
		d.sha256 = frame.GetArtifact().GetSha256()
	}
	data := frame.GetData()
	if len(data) > 0 {
		if frame.GetOffset() != d.offset || frame.GetCrc32C() != crc32.Checksum(data, castagnoli) {
			return d.corrupt(fmt.Sprintf("the bytes at %d are damaged", d.offset))
		}
		d.digest.Write(data)
		written, err := d.to.Write(data)
		d.offset += int64(written)
		if err != nil {
			return err
		}
	}
	if !frame.GetEnd() {
		return nil
	}
	if d.sha256 != "" && hex.EncodeToString(d.digest.Sum(nil)) != d.sha256 {
		return d.corrupt("its content does not match its digest")
	}
	return errOver
}

func (d *download) corrupt(why string) error {
	return &Error{Code: codes.DataLoss, Reason: "ARTIFACT_CORRUPT", Message: d.name + ": " + why}
}

// UploadOption changes an upload; any function over its header is one.
type UploadOption func(*jobplanev1.UploadArtifactRequest_Header)

// WithFilename names the uploaded file, for display; the media type follows from it.
func WithFilename(name string) UploadOption {
	return func(h *jobplanev1.UploadArtifactRequest_Header) { h.Filename = name }
}

// WithMediaType sets the media type, for example "text/csv".
func WithMediaType(mediaType string) UploadOption {
	return func(h *jobplanev1.UploadArtifactRequest_Header) { h.MediaType = mediaType }
}

// Upload makes content an artifact of the client's project, to be given to jobs as an input.
// It reads the content twice: once for its digest, and then what the server does not have. It
// goes on after a cut where the server stopped.
func (c *Client) Upload(
	ctx context.Context, content io.ReadSeeker, options ...UploadOption,
) (*jobplanev1.Artifact, error) {
	header, err := headerOf(content)
	if err != nil {
		return nil, err
	}
	header.Project = c.project
	for _, apply := range options {
		apply(header)
	}
	for failures := 0; ; {
		artifact, err := c.tryUpload(ctx, header, content)
		if err == nil {
			return artifact, nil
		}
		if failures++; ctx.Err() != nil || !isTorn(err) || failures == transferTries {
			return nil, err
		}
		if err := pause(ctx, c.retry.delay(failures, hintOf(err))); err != nil {
			return nil, err
		}
	}
}

// headerOf measures content.
func headerOf(content io.ReadSeeker) (*jobplanev1.UploadArtifactRequest_Header, error) {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	digest := sha256.New()
	size, err := io.Copy(digest, content)
	return &jobplanev1.UploadArtifactRequest_Header{
		Sha256: hex.EncodeToString(digest.Sum(nil)), SizeBytes: size,
	}, err
}

// tryUpload asks how much the server has, and sends the rest.
func (c *Client) tryUpload(
	ctx context.Context, header *jobplanev1.UploadArtifactRequest_Header, content io.ReadSeeker,
) (*jobplanev1.Artifact, error) {
	header.AsksReceived, header.Offset = true, 0
	answer, err := c.send(ctx, header, bytes.NewReader(nil))
	if err != nil || answer.GetArtifact() != nil {
		return answer.GetArtifact(), err
	}
	header.AsksReceived, header.Offset = false, answer.GetReceivedBytes()
	if _, err := content.Seek(header.Offset, io.SeekStart); err != nil {
		return nil, err
	}
	answer, err = c.send(ctx, header, content)
	if err == nil && answer.GetArtifact() == nil {
		err = errBroken
	}
	return answer.GetArtifact(), err
}

// send makes one call: the header, then the chunks. A call that stands still is ended.
func (c *Client) send(
	ctx context.Context, header *jobplanev1.UploadArtifactRequest_Header, content io.Reader,
) (*jobplanev1.UploadArtifactResponse, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(transferSilence, func() { cancel(errStalled) })
	defer silence.Stop()
	stream, err := c.artifacts.UploadArtifact(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	message := &jobplanev1.UploadArtifactRequest{
		Part: &jobplanev1.UploadArtifactRequest_Header_{Header: header},
	}
	for {
		// A send that finds the stream closed gives way to the server's own word.
		if err := stream.Send(message); err != nil {
			break
		}
		silence.Reset(transferSilence)
		chunk := make([]byte, chunkBytes)
		size, err := io.ReadFull(content, chunk)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		message = &jobplanev1.UploadArtifactRequest{
			Part: &jobplanev1.UploadArtifactRequest_Chunk{Chunk: chunk[:size]},
		}
	}
	answer, err := stream.CloseAndRecv()
	return answer, explain(ctx, err)
}

// Rows gives the rows of a table artifact, by its full name, each by column; all columns, or
// those that are named.
func (c *Client) Rows(
	ctx context.Context, name string, columns ...string,
) iter.Seq2[map[string]*structpb.Value, error] {
	return func(yield func(map[string]*structpb.Value, error) bool) {
		for offset := int64(0); ; {
			page, err := c.artifacts.ReadTable(ctx, &jobplanev1.ReadTableRequest{
				Name: name, Offset: offset, Limit: rowsAtOnce, Columns: columns,
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, cells := range page.GetRows() {
				row := make(map[string]*structpb.Value, len(cells.GetValues()))
				for at, column := range page.GetTable().GetColumns() {
					row[column.GetName()] = cells.GetValues()[at]
				}
				if !yield(row, nil) {
					return
				}
			}
			offset += int64(len(page.GetRows()))
			if len(page.GetRows()) == 0 || offset >= page.GetTable().GetRowCount() {
				return
			}
		}
	}
}

// isTorn says whether a transfer broke on the way, as opposed to one that was refused.
func isTorn(err error) bool {
	if errors.Is(err, errStalled) || errors.Is(err, errBroken) {
		return true
	}
	known := (*Error)(nil)
	if !errors.As(err, &known) {
		return false
	}
	switch known.Code {
	case codes.Unavailable, codes.Canceled, codes.Internal, codes.Unknown:
		return true
	}
	return false
}
