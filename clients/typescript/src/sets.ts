import { equals } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client as Stub } from "@connectrpc/connect";

import type { Backoff } from "./backoff.js";
import { type Job, JobSchema } from "./gen/jobplane/v1/job_pb.js";
import {
  type JobService,
  type WatchJobsResponse,
  type WatchJobsResponse_JobChange,
} from "./gen/jobplane/v1/job_service_pb.js";
import { type Ending, MISSED_HEARTBEATS, type OnReconnect, Resuming } from "./streams.js";
import { endingOf } from "./watch.js";

/** One job of a watched set after a change. */
export interface JobChange {
  readonly job: Job;
  /** False when it no longer matches: it left the filter, or was deleted. */
  readonly matches: boolean;
  /** Then only the name of the job is known. */
  readonly deleted: boolean;
  /** Whether all that matched at the start were told before this one. */
  readonly synced: boolean;
  /** Where to go on after it: see WatchJobsOptions.cursor. */
  readonly cursor: string;
}

export interface WatchJobsOptions {
  /** Goes on behind a change of an earlier watch of the same filter. */
  readonly cursor?: string | undefined;
  /** Ends the watch once all jobs that match are finished. */
  readonly untilAllFinished?: boolean | undefined;
  /** How often the server shows that it lives, by default 15,000. */
  readonly heartbeatMs?: number | undefined;
  /** Ends the watch with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Is told of every reconnect: why, and how long the watch waits before it. */
  readonly onReconnect?: OnReconnect | undefined;
}

type Told = Pick<JobChange, "job" | "matches" | "deleted">;

/** One watch of a set over all its streams. */
export class SetWatch extends Resuming<WatchJobsResponse, JobChange> {
  private readonly heartbeatMs: number;
  /** The jobs that match, as they were last told. */
  private readonly known = new Map<string, Job>();
  /** Those that a fresh list has not named yet. */
  private readonly doubtful = new Set<string>();
  /** False when what came before the caller's own cursor is not known. */
  private readonly knowsAll: boolean;
  private cursor: string;
  private synced = false;

  constructor(
    private readonly jobs: Stub<typeof JobService>,
    private readonly which: { readonly project: string; readonly filter: string },
    private readonly options: WatchJobsOptions,
    backoff: Backoff,
    signal: AbortSignal,
  ) {
    const heartbeatMs = options.heartbeatMs ?? 15_000;
    super(MISSED_HEARTBEATS * heartbeatMs, backoff, signal, options.onReconnect);
    this.heartbeatMs = heartbeatMs;
    this.cursor = options.cursor ?? "";
    this.knowsAll = this.cursor === "";
  }

  /** Gives change after change, over as many streams as it takes. */
  changes(): AsyncGenerator<JobChange, void, undefined> {
    return this.items();
  }

  protected override open(signal: AbortSignal): AsyncIterable<WatchJobsResponse> {
    const request = {
      ...this.which,
      cursor: this.cursor,
      untilAllFinished: this.options.untilAllFinished ?? false,
      heartbeatInterval: durationFromMs(this.heartbeatMs),
    };
    return this.jobs.watchJobs(request, { signal });
  }

  protected override *take(
    { cursor, frame }: WatchJobsResponse,
    first: boolean,
  ): Generator<JobChange, "over" | Ending> {
    // A server that accepts a watch and then loses it must not be asked again at once.
    this.failures = first ? this.failures : 0;
    let told: Told[] = [];
    switch (frame.case) {
      case "changes":
        told = frame.value.changes.flatMap((change) => this.apply(change));
        break;
      case "synced":
        this.synced = true;
        told = [...this.doubtful].sort().map((name) => this.gone(name));
        this.doubtful.clear();
        break;
      case "reset":
        this.synced = false;
        this.known.forEach((_, name) => this.doubtful.add(name));
        break;
      case "end":
        return endingOf(frame.value);
    }
    this.cursor = cursor;
    for (const change of told) {
      this.failures = 0;
      yield { ...change, synced: this.synced, cursor };
    }
    return undefined;
  }

  /** Keeps a change, and gives it unless it was told before. */
  private apply({ job, matchesFilter, deleted }: WatchJobsResponse_JobChange): Told[] {
    if (job === undefined) {
      return [];
    }
    this.doubtful.delete(job.name);
    const known = this.known.get(job.name);
    if (matchesFilter) {
      this.known.set(job.name, job);
      const repeated = known !== undefined && equals(JobSchema, known, job);
      return repeated ? [] : [{ job, matches: true, deleted: false }];
    }
    this.known.delete(job.name);
    return known === undefined && this.knowsAll ? [] : [{ job, matches: false, deleted }];
  }

  private gone(name: string): Told {
    const job = this.known.get(name)!;
    this.known.delete(name);
    return { job, matches: false, deleted: false };
  }
}
