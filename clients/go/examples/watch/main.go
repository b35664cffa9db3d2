// Command watch submits a probe job and prints what happens to it, one line per event.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	jobplane "github.com/jobplane/jobplane/clients/go"
	probev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/kinds/probe/v1"
	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

func main() {
	address := flag.String("address", "127.0.0.1:7070", "host and port of the server")
	project := flag.String("project", jobplane.DefaultProject, "project of the job")
	steps := flag.Int("steps", 3, "steps of the job")
	step := flag.Duration("step", 100*time.Millisecond, "duration of a step")
	timeout := flag.Duration("timeout", time.Minute, "give up after this time")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	spec := &jobplanev1.JobSpec{Kind: &jobplanev1.JobSpec_Probe{Probe: &probev1.ProbeSpec{
		Steps:        proto.Int32(int32(*steps)),
		StepDuration: durationpb.New(*step),
	}}}
	if err := run(ctx, *address, *project, spec); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address, project string, spec *jobplanev1.JobSpec) error {
	client, err := jobplane.Dial(address, jobplane.WithProject(project))
	if err != nil {
		return err
	}
	defer client.Close()

	submitted, err := client.Submit(ctx, spec)
	if err != nil {
		return err
	}
	name := submitted.GetJob().GetName()
	fmt.Println("job", name)
	reconnects := jobplane.OnReconnect(func(cause error, delay time.Duration) {
		log.Printf("reconnecting in %s: %v", delay.Round(time.Millisecond), cause)
	})
	for update, err := range client.Watch(ctx, name, jobplane.After(0), reconnects) {
		if err != nil {
			return err
		}
		if update.Event != nil {
			fmt.Println("event", update.Event.GetSequence(), eventType(update.Event))
		}
	}
	job, err := client.Get(ctx, name)
	if err != nil {
		return err
	}
	fmt.Println("status", strings.TrimPrefix(job.GetStatus().String(), "JOB_STATUS_"))
	if job.GetResult() != nil {
		fmt.Println("result", protojson.MarshalOptions{}.Format(job.GetResult()))
	}
	return nil
}

// eventType names the payload of an event, for example "status_changed".
func eventType(event *jobplanev1.JobEvent) string {
	message := event.ProtoReflect()
	payload := message.WhichOneof(message.Descriptor().Oneofs().ByName("payload"))
	if payload == nil {
		return "unknown"
	}
	return string(payload.Name())
}
