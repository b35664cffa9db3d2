import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client as Stub, createClient } from "@connectrpc/connect";

import { type Backoff, DEFAULT_BACKOFF, delayMs, pause } from "./backoff.js";
import { isLost, toJobplaneError } from "./errors.js";
import { type Connection, type ConnectionOptions, openConnection } from "./transport.js";

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

/** What all calls of a client have in common: connections, repeats, errors, pages, names. */
export class Calls {
  protected readonly project: string;
  protected readonly backoff: Backoff;
  protected readonly watches: Connection;
  private readonly calls: Connection;
  private readonly closing = new AbortController();

  /** Prepares a client for an address such as "127.0.0.1:7070"; its first call connects. */
  constructor(address: string, options: ClientOptions = {}) {
    this.project = options.project ?? "default";
    this.backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.calls = openConnection(address, options, options.timeoutMs ?? 30_000);
    // Open watches count against the streams of a connection, so they have one of their own.
    this.watches = openConnection(address, options);
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

  /** Gives the full name of a job of the client's project; a full name stays as it is. */
  name(job: string): string {
    return this.within("jobs", job);
  }

  protected within(collection: string, id: string): string {
    return id.includes("/") ? id : `projects/${this.project}/${collection}/${id}`;
  }

  protected until(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined
      ? this.closing.signal
      : AbortSignal.any([this.closing.signal, signal]);
  }

  /** Sends a call that may be repeated, until it is answered or tried often enough. */
  protected async repeat<Response>(
    outer: AbortSignal | undefined,
    send: (options: CallOptions) => Promise<Response>,
    tries = CALL_TRIES,
  ): Promise<Response> {
    const signal = this.until(outer);
    for (let sent = 1; ; sent += 1) {
      try {
        return await send({ signal });
      } catch (thrown) {
        signal.throwIfAborted();
        const error = toJobplaneError(thrown);
        if (!isLost(error) || sent >= tries) {
          throw error;
        }
        await pause(delayMs(this.backoff, sent, error.retryAfterMs), signal);
      }
    }
  }

  /** Sends a call that must not be repeated. */
  protected once<Response>(
    outer: AbortSignal | undefined,
    send: (options: CallOptions) => Promise<Response>,
  ): Promise<Response> {
    return this.repeat(outer, send, 1);
  }

  /** Gives the items of page after page until the last. */
  protected async *pages<Page extends { nextPageToken: string }, Item>(
    outer: AbortSignal | undefined,
    fetch: (pageToken: string, call: CallOptions) => Promise<Page>,
    items: (page: Page) => readonly Item[],
  ): AsyncGenerator<Item, void, undefined> {
    let pageToken = "";
    do {
      const page = await this.repeat(outer, (call) => fetch(pageToken, call));
      yield* items(page);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
}

/** Gives what a server that keeps the contract always sends. */
export function present<Message>(message: Message | undefined): Message {
  if (message === undefined) {
    throw new Error("the server answered without what was asked for");
  }
  return message;
}
