package jobplane

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"strings"

	"google.golang.org/grpc/codes"
)

// page is what the answer to every list has.
type page interface{ GetNextPageToken() string }

// pages gives the items of page after page until the last; an error ends it. fetch takes
// the token of the page to read.
func pages[P page, T any](fetch func(token string) (P, error), items func(P) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			page, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items(page) {
				if !yield(item, nil) {
					return
				}
			}
			if token = page.GetNextPageToken(); token == "" {
				return
			}
		}
	}
}

// repeat sends a call again while the server cannot be reached. It is for calls that carry a
// key, so that what was done once is not done twice.
func repeat[R any](ctx context.Context, retry backoff, send func() (R, error)) (R, error) {
	for try := 1; ; try++ {
		response, err := send()
		known := (*Error)(nil)
		if !errors.As(err, &known) || known.Code != codes.Unavailable || try == submitTries {
			return response, err
		}
		if pause(ctx, retry.delay(try, known.RetryAfter)) != nil {
			return response, err
		}
	}
}

// newKey fills an idempotency key that is not set.
func newKey(key *string) {
	if *key == "" {
		*key = rand.Text()
	}
}

// within gives the full name of what belongs to the client's project; a full name stays.
func (c *Client) within(collection, id string) string {
	if strings.Contains(id, "/") {
		return id
	}
	return "projects/" + c.project + "/" + collection + "/" + id
}
