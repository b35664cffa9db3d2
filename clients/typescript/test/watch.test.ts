import assert from "node:assert/strict";
import { test } from "node:test";

import { ConnectError } from "@connectrpc/connect";

import { type Client, Code, isFinished, JobplaneError, type Update, type WatchOptions } from "../src/index.js";
import {
  type WatchJobRequest,
  WatchJobResponse_End_Reason as EndReason,
} from "../src/gen/jobplane/v1/job_service_pb.js";
import {
  durable,
  endFrame,
  eventsFrame,
  type Frame,
  framesAfter,
  heartbeatFrame,
  JOB,
  LAST,
  serve,
  silence,
  watchJob,
} from "./fake.js";

/** Ends a client that would wait for ever. */
const bound = (): AbortSignal => AbortSignal.timeout(30_000);

async function collect(client: Client, options: WatchOptions = {}): Promise<Update[]> {
  const updates: Update[] = [];
  for await (const update of client.watch(JOB, { signal: bound(), ...options })) {
    updates.push(update);
  }
  return updates;
}

function sequences(updates: Update[]): bigint[] {
  return updates.flatMap((update) =>
    update.type === "event" && !update.event.ephemeral ? [update.event.sequence] : [],
  );
}

/** Serves the first stream only up to a number of frames, then ends it somehow. */
function cutFirst(after: number, end: (signal: AbortSignal) => void | Promise<void>) {
  return watchJob(async function* (request: WatchJobRequest, stream: number, signal) {
    const frames = framesAfter(request.afterSequence);
    yield* stream === 1 ? frames.slice(0, after) : frames;
    if (stream === 1) {
      await end(signal);
    }
  });
}

const CUTS = {
  unavailable: () => {
    throw new ConnectError("gone", Code.Unavailable);
  },
  cancelled: () => {
    throw new ConnectError("dropped", Code.Canceled);
  },
  internal: () => {
    throw new ConnectError("torn", Code.Internal);
  },
  "a slow consumer": () => {
    throw new ConnectError("too slow", Code.Aborted);
  },
  "a deadline of the server": () => {
    throw new ConnectError("late", Code.DeadlineExceeded);
  },
  "OK without End": () => {},
};

for (const [how, end] of Object.entries(CUTS)) {
  for (const after of [undefined, 0n]) {
    for (let index = 0; index <= framesAfter(after).length; index += 1) {
      const from = after === undefined ? "its snapshot" : "its start";
      test(`a watch from ${from} gives every event once, cut at ${index} by ${how}`, async (t) => {
        const { client } = await serve(t, cutFirst(index, end));
        const updates = await collect(client, { after });
        const want = [1n, 2n, 3n, 4n, 5n, 6n].slice(after === undefined ? 2 : 0);
        assert.deepEqual(sequences(updates), want);
        const last = updates.at(-1);
        assert.ok(last !== undefined && isFinished(last));
        assert.equal(last.cursor, LAST);
      });
    }
  }
}

for (let index = 0; index < framesAfter(undefined).length - 2; index += 1) {
  test(`a watch reconnects when the server goes silent after ${index} frames`, async (t) => {
    const { client } = await serve(t, cutFirst(index, silence));
    const causes: Error[] = [];
    const onReconnect = (cause: Error): void => void causes.push(cause);
    const updates = await collect(client, { heartbeatMs: 30, onReconnect });
    assert.deepEqual(sequences(updates), [3n, 4n, 5n, 6n]);
    assert.equal(causes[0]?.message, "the server went silent");
  });

  test(`a watch reconnects when its connection breaks after ${index} frames`, async (t) => {
    const { promise, resolve } = withResolver();
    const { client, drop } = await serve(
      t,
      cutFirst(index, async () => {
        await promise;
        drop();
      }),
    );
    resolve();
    assert.deepEqual(sequences(await collect(client)), [3n, 4n, 5n, 6n]);
  });
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

for (const reason of [EndReason.DRAINING, EndReason.MAX_AGE]) {
  test(`a watch goes on after a stream that ended with ${EndReason[reason]}`, async (t) => {
    const service = watchJob(async function* (request, stream): AsyncGenerator<Frame> {
      yield* stream === 1 ? [{ ...endFrame(reason, 2), cursor: 2n }] : framesAfter(request.afterSequence);
    });
    const { client } = await serve(t, service);
    const delays: number[] = [];
    const onReconnect = (_: Error, delayMs: number): void => void delays.push(delayMs);
    const updates = await collect(client, { onReconnect });
    assert.ok(isFinished(updates.at(-1)!));
    assert.equal(delays.length, 1);
    assert.ok(delays[0]! >= 2);
  });
}

test("a watch hands its cursor back when it reconnects", async (t) => {
  const service = cutFirst(2, CUTS.unavailable);
  const { client } = await serve(t, service);
  await collect(client);
  assert.deepEqual(
    service.requests.map((request) => request.afterSequence),
    [undefined, 4n],
  );
});

test("a watch keeps sequences that no double can hold", async (t) => {
  const huge = 2n ** 53n + 1n;
  const service = watchJob(async function* () {
    yield eventsFrame(huge, { sequence: huge, payload: { case: "finished", value: {} } });
  });
  const { client } = await serve(t, service);
  assert.deepEqual(sequences(await collect(client, { after: huge - 1n })), [huge]);
});

test("a watch drops events that a server repeats", async (t) => {
  const service = watchJob(async function* () {
    yield eventsFrame(2n, durable(1n), durable(2n));
    yield eventsFrame(3n, durable(2n), durable(3n));
    yield eventsFrame(6n, durable(4n), durable(5n), durable(6n));
  });
  const { client } = await serve(t, service);
  assert.deepEqual(sequences(await collect(client, { after: 0n })), [1n, 2n, 3n, 4n, 5n, 6n]);
});

/** Serves the first streams without some events, and the later ones whole. */
function leaveOut(streams: number, ...gap: Frame[]) {
  return watchJob(async function* (request, stream, signal): AsyncGenerator<Frame> {
    if (stream > streams) {
      yield* framesAfter(request.afterSequence);
      return;
    }
    yield* gap;
    await silence(signal);
  });
}

const GAPS: Record<string, Frame> = {
  "between events": eventsFrame(5n, durable(5n)),
  "before a heartbeat": heartbeatFrame(5n),
  "at the end of a frame": eventsFrame(5n, durable(3n)),
  "under a snapshot": { cursor: 5n, frame: { case: "snapshot", value: { job: { name: JOB } } } },
};

for (const [where, gap] of Object.entries(GAPS)) {
  test(`a watch asks again for events that a server left out ${where}`, async (t) => {
    const service = leaveOut(1, eventsFrame(2n, durable(1n), durable(2n)), gap);
    const { client } = await serve(t, service);
    assert.deepEqual(sequences(await collect(client, { after: 0n })), [1n, 2n, 3n, 4n, 5n, 6n]);
  });
}

test("a watch ends when a server leaves events out every time", async (t) => {
  const service = leaveOut(100, eventsFrame(6n, durable(6n)));
  const { client } = await serve(t, service);
  await assert.rejects(collect(client, { after: 0n }), { code: Code.DataLoss, reason: "EVENT_GAP" });
  assert.equal(service.requests.length, 6);
});

test("a watch of some event types takes no other event for left out", async (t) => {
  const service = leaveOut(1, heartbeatFrame(4n), eventsFrame(6n, durable(6n)));
  const { client } = await serve(t, service);
  const updates = await collect(client, { after: 0n, eventTypes: ["finished"] });
  assert.deepEqual(sequences(updates), [6n]);
  assert.equal(service.requests.length, 1);
});

test("a watch gives the state where history is no longer kept", async (t) => {
  const value = { job: { name: JOB, sequence: 5n }, historyTruncated: true };
  const truncated: Frame = { cursor: 5n, frame: { case: "snapshot", value } };
  const { client } = await serve(t, leaveOut(1, truncated, eventsFrame(6n, durable(6n))));
  const [first, second] = await collect(client, { after: 1n });
  assert.ok(first?.type === "state" && first.truncated && first.cursor === 5n);
  assert.ok(second !== undefined && isFinished(second));
});

test("a watch resumed after the end of its job gives the final state", async (t) => {
  const { client } = await serve(t, cutFirst(1, CUTS["OK without End"]));
  const updates = await collect(client, { after: LAST });
  assert.equal(updates.length, 1);
  assert.ok(updates[0]?.type === "state" && updates[0].job.done);
});

for (const code of [
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.OutOfRange,
  Code.Unimplemented,
]) {
  test(`a watch that is refused with ${Code[code]} ends with that error`, async (t) => {
    const service = watchJob(async function* (): AsyncGenerator<Frame> {
      throw new ConnectError("no", code);
    });
    const { client } = await serve(t, service);
    await assert.rejects(collect(client), (thrown) => thrown instanceof JobplaneError && thrown.code === code);
    assert.equal(service.requests.length, 1);
  });
}

test("a watch of a deleted job ends as one of an unknown job does", async (t) => {
  const service = watchJob(async function* () {
    yield endFrame(EndReason.DELETED);
  });
  const { client } = await serve(t, service);
  await assert.rejects(collect(client), { code: Code.NotFound, reason: "JOB_NOT_FOUND" });
});

const endless = () =>
  watchJob(async function* (_request, _stream, signal) {
    yield eventsFrame(1n, durable(1n));
    await silence(signal);
  });

test("a watch ends with its signal", async (t) => {
  const { client } = await serve(t, endless());
  const abort = new AbortController();
  const reason = new Error("enough");
  const watching = async (): Promise<void> => {
    for await (const _ of client.watch(JOB, { after: 0n, signal: abort.signal })) {
      abort.abort(reason);
    }
  };
  await assert.rejects(watching, reason);
});

test("a watch ends when its client is closed", async (t) => {
  const { client } = await serve(t, endless());
  const watching = async (): Promise<void> => {
    for await (const _ of client.watch(JOB, { after: 0n, signal: bound() })) {
      client.close();
    }
  };
  await assert.rejects(watching, /the client was closed/);
});

test("a watch frees its stream when the consumer stops", async (t) => {
  const { promise, resolve } = withResolver();
  const service = watchJob(async function* (_request, _stream, signal) {
    yield eventsFrame(1n, durable(1n));
    await silence(signal);
    resolve();
  });
  const { client } = await serve(t, service);
  for await (const _ of client.watch(JOB, { after: 0n })) {
    break;
  }
  await promise;
});

test("a watch backs off from a server that accepts it and then drops it", async (t) => {
  const service = watchJob(async function* (request, stream): AsyncGenerator<Frame> {
    if (stream > 12) {
      yield* framesAfter(request.afterSequence);
      return;
    }
    yield heartbeatFrame(0n);
    throw new ConnectError("lost the database", Code.Unavailable);
  });
  const { client } = await serve(t, service, { backoff: { firstMs: 0.001, mostMs: 1 } });
  let longest = 0;
  const onReconnect = (_: Error, delayMs: number): void => {
    longest = Math.max(longest, delayMs);
  };
  await collect(client, { after: 0n, onReconnect });
  assert.ok(longest > 0.002, `the longest delay was ${longest} ms`);
});

test("a watch reconnects soon after a stream that stayed healthy", async (t) => {
  const drops = 12;
  const service = watchJob(async function* (request, stream): AsyncGenerator<Frame> {
    if (stream > drops + 1) {
      yield* framesAfter(request.afterSequence);
      return;
    }
    yield* stream > drops ? [heartbeatFrame(0n), heartbeatFrame(0n)] : [];
    throw new ConnectError("gone", Code.Unavailable);
  });
  const { client } = await serve(t, service, { backoff: { firstMs: 0.001, mostMs: 1 } });
  let last = 0;
  const onReconnect = (_: Error, delayMs: number): void => {
    last = delayMs;
  };
  await collect(client, { after: 0n, onReconnect });
  assert.ok(last <= 0.001, `the last delay was ${last} ms`);
});
