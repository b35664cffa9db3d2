import { Code } from "@connectrpc/connect";

import { type Backoff, delayMs, pause } from "./backoff.js";
import { JobplaneError, toJobplaneError } from "./errors.js";

/** How many intervals of silence make a stream count as dead. */
export const MISSED_HEARTBEATS = 3;

/** The codes with which another stream would be refused just so. */
const FINAL_CODES: ReadonlySet<Code> = new Set([
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.OutOfRange,
  Code.Unimplemented,
  Code.DataLoss,
]);

/** Is told of every reconnect: why, and how long the watch waits before it. */
export type OnReconnect = (cause: Error, delayMs: number) => void;

/** Why a stream ended that is to be opened again, other than by an error of a call. */
export class StreamEnded extends Error {
  override readonly name = "StreamEnded";

  constructor(
    message: string,
    readonly retryAfterMs = 0,
  ) {
    super(message);
  }
}

/** What of a stream is still to be decided: nothing once it is over, else why it ended. */
export type Ending = JobplaneError | StreamEnded | undefined;

/** Opens stream after stream until what they tell is over, or must fail. */
export abstract class Resuming<Frame, Item> {
  /** Streams in a row that brought nothing. */
  protected failures = 0;

  constructor(
    private readonly silenceMs: number,
    private readonly backoff: Backoff,
    private readonly signal: AbortSignal,
    private readonly onReconnect: OnReconnect | undefined,
  ) {}

  /** Opens the next stream. */
  protected abstract open(signal: AbortSignal): AsyncIterable<Frame>;

  /** Gives what a frame brought; returns "over", or why the stream is to be opened again. */
  protected abstract take(frame: Frame, first: boolean): Generator<Item, "over" | Ending>;

  protected async *items(): AsyncGenerator<Item, void, undefined> {
    for (;;) {
      const cause = yield* this.follow();
      if (cause === undefined) {
        return;
      }
      this.signal.throwIfAborted();
      if (cause instanceof JobplaneError && FINAL_CODES.has(cause.code)) {
        throw cause;
      }
      this.failures += 1;
      const delay = delayMs(this.backoff, this.failures, cause.retryAfterMs);
      this.onReconnect?.(cause, delay);
      await pause(delay, this.signal);
    }
  }

  /** Reads one stream; returns why it ended, or nothing once all was told. */
  private async *follow(): AsyncGenerator<Item, Ending> {
    const abort = new AbortController();
    const signal = AbortSignal.any([this.signal, abort.signal]);
    try {
      const stream = this.open(signal)[Symbol.asyncIterator]();
      for (let first = true; ; first = false) {
        const next = await this.next(stream, abort);
        if (next.done === true) {
          return new StreamEnded("the stream ended without its last frame");
        }
        const ending = yield* this.take(next.value, first);
        if (ending !== undefined) {
          return ending === "over" ? undefined : ending;
        }
      }
    } catch (thrown) {
      const cause: unknown = abort.signal.aborted ? abort.signal.reason : thrown;
      return cause instanceof StreamEnded ? cause : toJobplaneError(cause);
    } finally {
      abort.abort();
    }
  }

  /** Waits for a frame; only this wait counts as silence, not the time of the consumer. */
  private async next(
    stream: AsyncIterator<Frame>,
    abort: AbortController,
  ): Promise<IteratorResult<Frame>> {
    const silent = (): void => abort.abort(new StreamEnded("the server went silent"));
    const timer = setTimeout(silent, this.silenceMs);
    try {
      return await stream.next();
    } finally {
      clearTimeout(timer);
    }
  }
}
