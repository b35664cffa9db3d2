import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import { WatchJobResponse_End_Reason as EndReason, type WatchJobsResponseSchema } from "../src/gen/jobplane/v1/job_service_pb.js";
import type { Client } from "../src/index.js";
import { serve } from "./fake.js";

type Frame = MessageInitShape<typeof WatchJobsResponseSchema>;

function changes(cursor: string, ...jobs: [name: string, priority: number][]): Frame {
  const told = jobs.map(([name, priority]) => ({ job: { name, priority }, matchesFilter: true }));
  return { cursor, frame: { case: "changes", value: { changes: told } } };
}

const synced = (cursor: string): Frame => ({ cursor, frame: { case: "synced", value: {} } });
const reset: Frame = { frame: { case: "reset", value: {} } };
const finished: Frame = { frame: { case: "end", value: { reason: EndReason.FINISHED } } };

/** Answers each watch of a set with its frames; all but the last one break. */
async function streams(
  t: TestContext,
  ...frames: Frame[][]
): Promise<{ client: Client; cursors: string[] }> {
  const cursors: string[] = [];
  const { client } = await serve(t, {
    async *watchJobs({ cursor }) {
      const mine = frames[cursors.length] ?? [];
      cursors.push(cursor);
      yield* mine;
      if (!mine.includes(finished)) {
        throw new ConnectError("cut", Code.Unavailable);
      }
    },
  });
  return { client, cursors };
}

test("a set that is cut tells nothing twice", async (t) => {
  const { client, cursors } = await streams(
    t,
    [changes("c1", ["a", 1], ["b", 1])],
    [changes("c2", ["b", 1], ["a", 2]), synced("c3")],
    [finished],
  );
  const told: string[] = [];
  for await (const { job, cursor } of client.watchJobs("", { untilAllFinished: true })) {
    told.push(`${job.name}@${cursor}`);
  }
  assert.deepEqual(told, ["a@c1", "b@c1", "a@c2"]);
  assert.deepEqual(cursors, ["", "c1", "c3"]);
});

test("a job that a fresh list leaves out is gone", async (t) => {
  const { client } = await streams(
    t,
    [changes("c1", ["a", 1], ["b", 1]), synced("c2")],
    [reset, changes("c3", ["b", 1]), synced("c4"), finished],
  );
  const gone: string[] = [];
  for await (const { job, matches } of client.watchJobs()) {
    gone.push(...(matches ? [] : [job.name]));
  }
  assert.deepEqual(gone, ["a"]);
});

test("a refused set is an error", async (t) => {
  const { client } = await serve(t, {
    async *watchJobs() {
      throw new ConnectError("filter", Code.InvalidArgument);
    },
  });
  const watch = client.watchJobs("no = such");
  await assert.rejects(watch.next(), { code: Code.InvalidArgument });
});
