package jobplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1" // registers the contract
)

// DefaultProject is the project of calls where no [WithProject] was given.
const DefaultProject = "default"

// serviceConfig has gRPC repeat what may be repeated: reads, and a cancel, whose outcome does
// not depend on how often it was asked for. A submit is repeated by [Client.Submit], which
// makes sure of its key.
var serviceConfig = fmt.Sprintf(`{"methodConfig": [{
  "name": [%s],
  "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "5s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]
  }
}]}`, strings.Join(repeatable(), ", "))

// repeatable names the unary methods that the contract says have no side effects, and cancel.
func repeatable() []string {
	var names []string
	protoregistry.GlobalFiles.RangeFilesByPackage("jobplane.v1", func(file protoreflect.FileDescriptor) bool {
		for s := range file.Services().Len() {
			methods := file.Services().Get(s).Methods()
			for m := range methods.Len() {
				if method := methods.Get(m); isRepeatable(method) {
					name := fmt.Sprintf(`{"service": %q, "method": %q}`, method.Parent().FullName(), method.Name())
					names = append(names, name)
				}
			}
		}
		return true
	})
	slices.Sort(names)
	return names
}

func isRepeatable(method protoreflect.MethodDescriptor) bool {
	if method.IsStreamingClient() || method.IsStreamingServer() {
		return false
	}
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS ||
		method.Name() == "CancelJob"
}

// Option changes how [Dial] sets up a client.
type Option func(*settings)

type settings struct {
	project   string
	token     string
	timeout   time.Duration
	plaintext bool
	tls       *tls.Config
	extra     []grpc.DialOption
}

// WithProject sets the project that jobs are submitted to and listed from.
func WithProject(project string) Option { return func(s *settings) { s.project = project } }

// WithToken sends a bearer token with every call.
func WithToken(token string) Option { return func(s *settings) { s.token = token } }

// WithTimeout bounds calls whose context has no deadline; watches have no such bound. The
// default is 30 seconds.
func WithTimeout(timeout time.Duration) Option { return func(s *settings) { s.timeout = timeout } }

// WithTLS encrypts the connection as config says, also to this machine.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.tls, s.plaintext = config, false }
}

// WithPlaintext leaves the connection unencrypted, also to other machines.
func WithPlaintext() Option { return func(s *settings) { s.plaintext = true } }

// WithDialOptions hands further options to gRPC.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.extra = append(s.extra, options...) }
}

func newSettings(address string, options []Option) settings {
	s := settings{project: DefaultProject, timeout: 30 * time.Second, plaintext: isLocal(address)}
	for _, apply := range options {
		apply(&s)
	}
	return s
}

// isLocal says whether an address cannot leave this machine.
func isLocal(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unix-abstract:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func (s settings) dialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(s.transport()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithUnaryInterceptor(s.callUnary),
		// The server allows a ping every 10 s. Without pings a half-open connection would
		// be noticed by watches only.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    20 * time.Second,
			Timeout: 10 * time.Second,
		}),
		// The defaults of gRPC wait up to 2 minutes after a server came back.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: grpcbackoff.Config{
				BaseDelay:  200 * time.Millisecond,
				Multiplier: 1.6,
				Jitter:     0.2,
				MaxDelay:   5 * time.Second,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	if s.token != "" {
		bearer := bearerToken{token: s.token, plaintext: s.plaintext}
		options = append(options, grpc.WithPerRPCCredentials(bearer))
	}
	return append(options, s.extra...)
}

func (s settings) transport() credentials.TransportCredentials {
	if s.plaintext {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(s.tls)
}

// callUnary bounds a call and types its error.
func (s settings) callUnary(
	ctx context.Context, method string, request, response any,
	conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	var header, trailer metadata.MD
	options = append(options, grpc.Header(&header), grpc.Trailer(&trailer))
	err := typed(invoke(ctx, method, request, response, conn, options...))
	if known := (*Error)(nil); errors.As(err, &known) && known.RequestID == "" {
		known.RequestID = strings.Join(metadata.Join(header, trailer).Get("x-request-id"), " ")
	}
	return err
}

type bearerToken struct {
	token     string
	plaintext bool
}

func (b bearerToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

func (b bearerToken) RequireTransportSecurity() bool { return !b.plaintext }
