import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client as Stub, Code } from "@connectrpc/connect";

import type { Backoff } from "./backoff.js";
import { JobplaneError } from "./errors.js";
import type { JobEvent } from "./gen/jobplane/v1/event_pb.js";
import type { Job } from "./gen/jobplane/v1/job_pb.js";
import {
  type JobService,
  WatchJobRequestSchema,
  type WatchJobResponse,
  type WatchJobResponse_End,
  type WatchJobResponse_Snapshot,
  WatchJobResponse_End_Reason as EndReason,
} from "./gen/jobplane/v1/job_service_pb.js";
import { type Ending, MISSED_HEARTBEATS, type OnReconnect, Resuming, StreamEnded } from "./streams.js";

/** How often in a row events may be left out before they count as lost. */
const MOST_GAPS = 5;

/** One thing that a watch tells; `cursor` is where to go on after it: see WatchOptions.after. */
export type Update =
  | { readonly type: "state"; readonly job: Job; readonly truncated: boolean; readonly cursor: bigint }
  | { readonly type: "event"; readonly event: JobEvent; readonly cursor: bigint };

export interface WatchOptions {
  /**
   * Starts behind an event: 0n gives the whole history, the cursor of an update of an earlier
   * watch goes on where that one stopped. Without it the watch starts with the state of now.
   */
  readonly after?: bigint | undefined;
  /** Leaves out progress, which is not part of the history. */
  readonly durableOnly?: boolean | undefined;
  /** Keeps only events of these types, for example "status_changed", and always "finished". */
  readonly eventTypes?: readonly string[] | undefined;
  /**
   * How often the server shows that it lives, 1,000 to 60,000, by default 15,000. After three
   * intervals of silence the watch reconnects.
   */
  readonly heartbeatMs?: number | undefined;
  /** Ends the watch with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Is told of every reconnect: why, and how long the watch waits before it. */
  readonly onReconnect?: OnReconnect | undefined;
}

/** Says whether an update is the last one: the job is over. */
export function isFinished(update: Update): boolean {
  return update.type === "state" ? update.job.done : update.event.payload.case === "finished";
}

/** One watch over all its streams. */
export class Watch extends Resuming<WatchJobResponse, Update> {
  private readonly heartbeatMs: number;
  /** Everything up to here was delivered; unset before the first frame. */
  private cursor: bigint | undefined;
  /** Streams in a row that left out the same events. */
  private gaps = 0;

  constructor(
    private readonly jobs: Stub<typeof JobService>,
    private readonly name: string,
    private readonly options: WatchOptions,
    backoff: Backoff,
    signal: AbortSignal,
  ) {
    const heartbeatMs = options.heartbeatMs ?? 15_000;
    super(MISSED_HEARTBEATS * heartbeatMs, backoff, signal, options.onReconnect);
    this.heartbeatMs = heartbeatMs;
    this.cursor = options.after;
  }

  /** Gives update after update, over as many streams as it takes, until the job is over. */
  updates(): AsyncGenerator<Update, void, undefined> {
    return this.items();
  }

  protected override open(signal: AbortSignal): AsyncIterable<WatchJobResponse> {
    return this.jobs.watchJob(this.request(), { signal });
  }

  protected override *take(
    response: WatchJobResponse,
    first: boolean,
  ): Generator<Update, "over" | Ending> {
    for (const update of this.told(response, first)) {
      yield update;
      if (isFinished(update)) {
        return "over";
      }
    }
    const { frame } = response;
    return frame.case === "end" ? this.endOf(frame.value) : undefined;
  }

  private request(): MessageInitShape<typeof WatchJobRequestSchema> {
    return create(WatchJobRequestSchema, {
      name: this.name,
      heartbeatInterval: durationFromMs(this.heartbeatMs),
      durableOnly: this.options.durableOnly ?? false,
      eventTypes: [...(this.options.eventTypes ?? [])],
      ...(this.cursor === undefined ? {} : { afterSequence: this.cursor }),
    });
  }

  /** Gives what a frame brought, and keeps the place in the history. */
  private *told({ cursor, frame }: WatchJobResponse, first: boolean): Generator<Update> {
    switch (frame.case) {
      case "snapshot":
        yield* this.snapshot(frame.value, cursor);
        return;
      case "end":
        if (frame.value.reason === EndReason.FINISHED && frame.value.job !== undefined) {
          this.advance(frame.value.job.sequence);
          yield this.state(frame.value.job, false);
        }
        return;
      case "events":
        yield* this.events(frame.value.events);
        break;
      case "heartbeat":
        // A server that accepts a watch and then loses it must not be asked again at once.
        this.failures = first ? this.failures : 0;
        break;
    }
    this.reach(cursor);
  }

  private *snapshot(snapshot: WatchJobResponse_Snapshot, cursor: bigint): Generator<Update> {
    const { job, historyTruncated } = snapshot;
    const resumed = this.cursor !== undefined && !historyTruncated;
    if (resumed) {
      this.reach(cursor);
    }
    this.advance(cursor);
    if (job !== undefined && (job.done || !resumed)) {
      yield this.state(job, historyTruncated);
    }
  }

  private *events(events: readonly JobEvent[]): Generator<Update> {
    for (const event of events) {
      if (!event.ephemeral) {
        if (this.cursor !== undefined && event.sequence <= this.cursor) {
          continue;
        }
        this.reach(event.sequence - 1n);
        this.advance(event.sequence);
        this.gaps = 0;
      }
      this.failures = 0;
      yield { type: "event", event, cursor: this.cursor ?? 0n };
    }
  }

  /**
   * Advances over what a filter of types kept back. Without one, events up to here that were
   * not delivered are asked for again, unless the server leaves them out every time.
   */
  private reach(sequence: bigint): void {
    const filtered = (this.options.eventTypes ?? []).length > 0;
    if (filtered || this.cursor === undefined || sequence <= this.cursor) {
      this.advance(sequence);
      return;
    }
    this.gaps += 1;
    if (this.gaps <= MOST_GAPS) {
      throw new StreamEnded("the server left out events");
    }
    const message = `the server leaves out events of ${this.name} after ${this.cursor}`;
    throw new JobplaneError(Code.DataLoss, message, { reason: "EVENT_GAP" });
  }

  private state(job: Job, truncated: boolean): Update {
    this.failures = 0;
    return { type: "state", job, truncated, cursor: this.cursor ?? 0n };
  }

  /** Tells a finished or deleted job from a stream that is to be opened again. */
  private endOf(end: WatchJobResponse_End): "over" | Ending {
    if (end.reason === EndReason.DELETED) {
      const message = `${this.name} was deleted while it was watched`;
      return new JobplaneError(Code.NotFound, message, { reason: "JOB_NOT_FOUND" });
    }
    return endingOf(end);
  }

  private advance(sequence: bigint): void {
    if (this.cursor === undefined || sequence > this.cursor) {
      this.cursor = sequence;
    }
  }
}

/** Tells what is finished from a stream that is to be opened again. */
export function endingOf(end: WatchJobResponse_End): "over" | StreamEnded {
  if (end.reason === EndReason.FINISHED) {
    return "over";
  }
  const wait = end.retryAfter === undefined ? 0 : durationMs(end.retryAfter);
  return new StreamEnded(`the server ended the stream: ${EndReason[end.reason]}`, wait);
}
