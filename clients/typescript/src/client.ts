import { randomUUID } from "node:crypto";

import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client as Stub, createClient } from "@connectrpc/connect";

import { type Backoff, DEFAULT_BACKOFF, delayMs, pause } from "./backoff.js";
import { isLost, toJobplaneError } from "./errors.js";
import type { Job } from "./gen/jobplane/v1/job_pb.js";
import {
  JobService,
  type ListJobsRequestSchema,
  type SubmitJobRequestSchema,
  type SubmitJobResponse,
} from "./gen/jobplane/v1/job_service_pb.js";
import type { JobSpecSchema } from "./gen/jobplane/v1/spec_pb.js";
import { type Connection, type ConnectionOptions, openConnection } from "./transport.js";
import { type Update, Watch, type WatchOptions } from "./watch.js";

/** How often a call is sent in all while the server cannot be reached. */
const CALL_TRIES = 4;

export interface ClientOptions extends ConnectionOptions {
  /** Where jobs are submitted to and listed from; by default "default". */
  readonly project?: string | undefined;
  /** Bounds each try of a call; watches have no such bound. By default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Delays between tries; by default up to 200 ms at first and 10 s at most. */
  readonly backoff?: Backoff | undefined;
}

export interface CancellationOptions {
  /** Ends the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

type Request<Schema extends typeof SubmitJobRequestSchema | typeof ListJobsRequestSchema> = Omit<
  Exclude<MessageInitShape<Schema>, { $typeName: string }>,
  "$typeName" | "$unknown" | "project" | "spec" | "pageToken"
>;

/** What may be said about a job besides its spec, for example its queue. */
export type SubmitOptions = Request<typeof SubmitJobRequestSchema> & CancellationOptions;

/** Which jobs to list and how, for example `{ filter: "status = RUNNING" }`. */
export type ListOptions = Request<typeof ListJobsRequestSchema> & CancellationOptions;

/** What to run, for example `{ kind: { case: "probe", value: { steps: 3 } } }`. */
export type JobSpecInit = MessageInitShape<typeof JobSpecSchema>;

/** Talks to one server. */
export class Client {
  private readonly project: string;
  private readonly backoff: Backoff;
  private readonly calls: Connection;
  private readonly watches: Connection;
  private readonly jobs: Stub<typeof JobService>;
  private readonly streams: Stub<typeof JobService>;
  private readonly closing = new AbortController();

  /** Prepares a client for an address such as "127.0.0.1:7070"; its first call connects. */
  constructor(address: string, options: ClientOptions = {}) {
    this.project = options.project ?? "default";
    this.backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.calls = openConnection(address, options, options.timeoutMs ?? 30_000);
    // Open watches count against the streams of a connection, so they have one of their own.
    this.watches = openConnection(address, options);
    this.jobs = this.stub(JobService);
    this.streams = createClient(JobService, this.watches.transport);
  }

  /** Gives the generated client of any service; see toJobplaneError for what its calls throw. */
  stub<Service extends DescService>(service: Service): Stub<Service> {
    return createClient(service, this.calls.transport);
  }

  /** Ends the connections, and with them every call and watch. */
  close(): void {
    this.closing.abort(new Error("the client was closed"));
    this.calls.close();
    this.watches.close();
  }

  /**
   * Makes a job durable. It is repeated while the server cannot be reached, and makes one job
   * however often it was sent: where no idempotency key is given it makes one.
   */
  submit(spec: JobSpecInit, options: SubmitOptions = {}): Promise<SubmitJobResponse> {
    const { signal, ...rest } = options;
    const idempotencyKey = rest.idempotencyKey || randomUUID();
    const request = { ...rest, project: this.project, spec, idempotencyKey };
    return this.repeat(signal, (call) => this.jobs.submitJob(request, call));
  }

  /** Reads one job, by name or by id. */
  async get(job: string, options: CancellationOptions = {}): Promise<Job> {
    const request = { name: this.name(job) };
    const response = await this.repeat(options.signal, (call) => this.jobs.getJob(request, call));
    return present(response.job);
  }

  /**
   * Asks for the end of a job. It is then CANCELLED, or CANCELLING with the time at which the
   * server will force the end. Cancelling it again changes nothing.
   */
  async cancel(job: string, reason = "", options: CancellationOptions = {}): Promise<Job> {
    const request = { name: this.name(job), reason };
    const response = await this.repeat(options.signal, (call) => this.jobs.cancelJob(request, call));
    return present(response.job);
  }

  /** Gives every job that matches, reading page after page. */
  async *list(options: ListOptions = {}): AsyncGenerator<Job, void, undefined> {
    const { signal, ...rest } = options;
    let pageToken = "";
    do {
      const request = { ...rest, project: this.project, pageToken };
      const page = await this.repeat(signal, (call) => this.jobs.listJobs(request, call));
      yield* page.jobs;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /**
   * Follows a job, by name or by id, until it is finished. It reconnects by itself and goes on
   * where it was: every durable event comes in order and exactly once. It ends after the
   * update that isFinished, or throws: the signal's reason, or the error of a server that
   * refuses the watch.
   */
  watch(job: string, options: WatchOptions = {}): AsyncGenerator<Update, void, undefined> {
    const signal = this.until(options.signal);
    return new Watch(this.streams, this.name(job), options, this.backoff, signal).updates();
  }

  /** Gives a job once it is finished, however it ended: see its status and failure. */
  async wait(job: string, options: CancellationOptions = {}): Promise<Job> {
    const narrow = { ...options, durableOnly: true, eventTypes: ["finished"] };
    for await (const update of this.watch(job, narrow)) {
      if (update.type === "state" && update.job.done) {
        break;
      }
    }
    return this.get(job, options);
  }

  /** Gives the full name of a job of the client's project; a full name stays as it is. */
  name(job: string): string {
    return job.includes("/") ? job : `projects/${this.project}/jobs/${job}`;
  }

  private until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined
      ? this.closing.signal
      : AbortSignal.any([this.closing.signal, signal]);
  }

  /** Sends a call that may be repeated, until it is answered or tried often enough. */
  private async repeat<Response>(
    outer: AbortSignal | undefined,
    send: (options: CallOptions) => Promise<Response>,
  ): Promise<Response> {
    const signal = this.until(outer);
    for (let tries = 1; ; tries += 1) {
      try {
        return await send({ signal });
      } catch (thrown) {
        signal.throwIfAborted();
        const error = toJobplaneError(thrown);
        if (!isLost(error) || tries === CALL_TRIES) {
          throw error;
        }
        await pause(delayMs(this.backoff, tries, error.retryAfterMs), signal);
      }
    }
  }
}

function present(job: Job | undefined): Job {
  if (job === undefined) {
    throw new Error("the server answered without a job");
  }
  return job;
}
