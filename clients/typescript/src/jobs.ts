import { randomUUID } from "node:crypto";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client as Stub, createClient } from "@connectrpc/connect";

import { type CancellationOptions, Calls, type ClientOptions, present } from "./calls.js";
import type { JobEvent } from "./gen/jobplane/v1/event_pb.js";
import type { Job } from "./gen/jobplane/v1/job_pb.js";
import {
  JobService,
  type ListJobsRequestSchema,
  type SubmitJobRequestSchema,
  type SubmitJobResponse,
} from "./gen/jobplane/v1/job_service_pb.js";
import type { JobSpecSchema } from "./gen/jobplane/v1/spec_pb.js";
import { type JobChange, SetWatch, type WatchJobsOptions } from "./sets.js";
import { type Update, Watch, type WatchOptions } from "./watch.js";

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

/** Calls about jobs. */
export class JobCalls extends Calls {
  private readonly jobs: Stub<typeof JobService>;
  private readonly streams: Stub<typeof JobService>;

  constructor(address: string, options: ClientOptions = {}) {
    super(address, options);
    this.jobs = this.stub(JobService);
    this.streams = createClient(JobService, this.watches.transport);
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

  /** Asks a job to stop where it can go on from. It is then PAUSED, or PAUSING. */
  async pause(job: string, reason = "", options: CancellationOptions = {}): Promise<Job> {
    const request = { name: this.name(job), reason };
    const response = await this.once(options.signal, (call) => this.jobs.pauseJob(request, call));
    return present(response.job);
  }

  /** Lets a paused job go on. */
  async resume(job: string, reason = "", options: CancellationOptions = {}): Promise<Job> {
    const request = { name: this.name(job), reason };
    const response = await this.once(options.signal, (call) => this.jobs.resumeJob(request, call));
    return present(response.job);
  }

  /** Answers the open question of a job, by the ids of its parts. */
  async answer(
    job: string,
    answers: Readonly<Record<string, string>>,
    options: CancellationOptions = {},
  ): Promise<Job> {
    const inputId = (await this.get(job, options)).pendingInput?.inputId ?? "";
    const request = { name: this.name(job), inputId, answers: { ...answers } };
    const send = this.once(options.signal, (call) => this.jobs.provideJobInput(request, call));
    return present((await send).job);
  }

  /** Makes a new job from a finished one: from its last checkpoint, or afresh. */
  async retry(job: string, fromCheckpoint = false, options: CancellationOptions = {}): Promise<Job> {
    const request = { name: this.name(job), fromCheckpoint, idempotencyKey: randomUUID() };
    const response = await this.repeat(options.signal, (call) => this.jobs.retryJob(request, call));
    return present(response.job);
  }

  /** Removes the record of a finished job, with its events and artifacts. */
  async delete(job: string, options: CancellationOptions = {}): Promise<void> {
    await this.once(options.signal, (call) => this.jobs.deleteJob({ name: this.name(job) }, call));
  }

  /** Gives every job that matches, reading page after page. */
  list(options: ListOptions = {}): AsyncGenerator<Job, void, undefined> {
    const { signal, ...rest } = options;
    const request = { ...rest, project: this.project };
    return this.pages(
      signal,
      (pageToken, call) => this.jobs.listJobs({ ...request, pageToken }, call),
      (page) => page.jobs,
    );
  }

  /** Gives the exact number of jobs that match a filter. */
  async count(filter = "", options: CancellationOptions = {}): Promise<bigint> {
    const request = { project: this.project, filter };
    const response = await this.repeat(options.signal, (call) => this.jobs.countJobs(request, call));
    return response.total;
  }

  /** Gives the durable events of a job so far, behind a sequence. */
  history(
    job: string,
    afterSequence = 0n,
    options: CancellationOptions = {},
  ): AsyncGenerator<JobEvent, void, undefined> {
    const request = { name: this.name(job), afterSequence, pageSize: 500 };
    return this.pages(
      options.signal,
      (pageToken, call) => this.jobs.listJobEvents({ ...request, pageToken }, call),
      (page) => page.events,
    );
  }

  /**
   * Cancels every job that matches a filter and is not finished, in as many calls as it takes,
   * and gives how many; as a dry run it only counts them.
   */
  async cancelAll(
    filter: string,
    reason = "",
    options: CancellationOptions & { readonly dryRun?: boolean | undefined } = {},
  ): Promise<number> {
    const validateOnly = options.dryRun ?? false;
    const request = { project: this.project, filter, reason, validateOnly };
    let affected = 0;
    for (let more = true; more; ) {
      const send = this.once(options.signal, (call) => this.jobs.batchCancelJobs(request, call));
      const response = await send;
      affected += Number(response.affected);
      more = response.more;
    }
    return affected;
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

  /**
   * Follows all jobs that match a filter: first each that matches now, then every change. It
   * reconnects by itself and tells nothing twice. It ends when all are finished, if
   * `untilAllFinished`.
   */
  watchJobs(
    filter = "",
    options: WatchJobsOptions = {},
  ): AsyncGenerator<JobChange, void, undefined> {
    const signal = this.until(options.signal);
    const request = { project: this.project, filter };
    return new SetWatch(this.streams, request, options, this.backoff, signal).changes();
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
}
