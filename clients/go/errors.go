package jobplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what the server said when it refused or could not do something. Take it out of
// a returned error with [errors.As].
type Error struct {
	// Code is the gRPC code.
	Code codes.Code
	// Reason is stable and made for programs, for example "JOB_NOT_FOUND"; empty when the
	// error did not come from a Jobplane server.
	Reason string
	// Message is one sentence for a person.
	Message string
	// Metadata belongs to the reason, for example "allowed" of INVALID_TRANSITION.
	Metadata map[string]string
	// Violations are the fields that were wrong, all of them unless there were very many.
	Violations []Violation
	// RetryAfter is when the server expects the call to work; 0 when it does not say.
	RetryAfter time.Duration
	// RequestID names the call in the server's log, where the server gives it.
	RequestID string

	status *status.Status
}

// Violation is one field that was wrong.
type Violation struct {
	// Field is its path, for example "spec.probe.steps".
	Field string
	// Description says what is wrong with it.
	Description string
}

// Error gives the reason, the sentence and those wrong fields that it does not name itself.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString(e.Code.String())
	if e.Reason != "" {
		fmt.Fprintf(&text, " (%s)", e.Reason)
	}
	fmt.Fprintf(&text, ": %s", e.Message)
	for _, violation := range e.Violations {
		wrong := violation.Field + ": " + violation.Description
		if !strings.Contains(e.Message, wrong) {
			text.WriteString("; " + wrong)
		}
	}
	return text.String()
}

// GRPCStatus lets the functions of the gRPC status package read the error.
func (e *Error) GRPCStatus() *status.Status {
	if e.status == nil {
		return status.New(e.Code, e.Message)
	}
	return e.status
}

// Is makes the error of a call that ran out of its context equal to the context's error.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	return false
}

// ReasonOf gives the reason of an error of the server, and "" for any other error.
func ReasonOf(err error) string {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known.Reason
	}
	return ""
}

// typed turns an error of gRPC into an [Error], and leaves any other as it is.
func typed(err error) error {
	if err == nil || errors.As(err, new(*Error)) {
		return err
	}
	answer, ok := status.FromError(err)
	if !ok {
		return err
	}
	known := &Error{Code: answer.Code(), Message: answer.Message(), status: answer}
	for _, detail := range answer.Details() {
		known.add(detail)
	}
	return known
}

func (e *Error) add(detail any) {
	switch detail := detail.(type) {
	case *errdetails.ErrorInfo:
		e.Reason, e.Metadata = detail.GetReason(), detail.GetMetadata()
	case *errdetails.BadRequest:
		for _, field := range detail.GetFieldViolations() {
			violation := Violation{Field: field.GetField(), Description: field.GetDescription()}
			e.Violations = append(e.Violations, violation)
		}
	case *errdetails.RetryInfo:
		e.RetryAfter = detail.GetRetryDelay().AsDuration()
	case *errdetails.RequestInfo:
		e.RequestID = detail.GetRequestId()
	}
}
