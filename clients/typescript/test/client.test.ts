import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { delayMs } from "../src/backoff.js";
import { JobplaneError } from "../src/index.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../src/gen/google/rpc/error_details_pb.js";
import type { ListJobsRequest, SubmitJobRequest } from "../src/gen/jobplane/v1/job_service_pb.js";
import { urlOf } from "../src/transport.js";
import { finishedJob, framesAfter, JOB, serve, silence, watchJob } from "./fake.js";

const SPEC = { kind: { case: "probe", value: { steps: 3 } } } as const;

test("a submit makes an idempotency key and keeps it while it repeats", async (t) => {
  const requests: SubmitJobRequest[] = [];
  const { client } = await serve(t, {
    submitJob: (request) => {
      requests.push(request);
      if (requests.length < 3) {
        throw new ConnectError("starting", Code.Unavailable);
      }
      return { job: { name: JOB } };
    },
  });
  const response = await client.submit(SPEC);
  assert.equal(response.job?.name, JOB);
  const keys = requests.map((request) => request.idempotencyKey);
  assert.equal(keys.length, 3);
  assert.match(keys[0]!, /^[0-9a-f-]{36}$/);
  assert.equal(new Set(keys).size, 1);
});

test("a submit whose connection breaks is sent again", async (t) => {
  let calls = 0;
  const { client, drop } = await serve(t, {
    submitJob: () => {
      calls += 1;
      if (calls === 1) {
        drop();
      }
      return { job: { name: JOB } };
    },
  });
  await client.submit(SPEC);
  assert.equal(calls, 2);
});

test("a submit gives up on a server that stays away", async (t) => {
  let calls = 0;
  const { client } = await serve(t, {
    submitJob: () => {
      calls += 1;
      throw new ConnectError("gone", Code.Unavailable);
    },
  });
  await assert.rejects(client.submit(SPEC), { code: Code.Unavailable });
  assert.equal(calls, 4);
});

test("a call to a port where nobody listens is refused as unavailable", async (t) => {
  const { client } = await serve(t, {});
  const { Client } = await import("../src/index.js");
  const lost = new Client("127.0.0.1:1", { backoff: { firstMs: 0.1, mostMs: 1 } });
  t.after(() => lost.close());
  await assert.rejects(lost.get("j1"), { code: Code.Unavailable });
  assert.equal(client.name("j1"), JOB);
});

test("a submit sends what its options say", async (t) => {
  const requests: SubmitJobRequest[] = [];
  const { client } = await serve(
    t,
    {
      submitJob: (request) => {
        requests.push(request);
        return {};
      },
    },
    { project: "lab" },
  );
  const options = { idempotencyKey: "k", queue: "slow", priority: 0, labels: { team: "a" } };
  await client.submit(SPEC, options);
  const { project, idempotencyKey, queue, priority, labels, spec } = requests[0]!;
  assert.deepEqual({ idempotencyKey, queue, priority, labels }, options);
  assert.equal(project, "lab");
  assert.ok(spec?.kind.case === "probe" && spec.kind.value.steps === 3);
});

test("a list reads page after page", async (t) => {
  const pages: Record<string, { jobs: { jobId: string }[]; nextPageToken: string }> = {
    "": { jobs: [{ jobId: "a" }, { jobId: "b" }], nextPageToken: "t1" },
    t1: { jobs: [], nextPageToken: "t2" },
    t2: { jobs: [{ jobId: "c" }], nextPageToken: "" },
  };
  const requests: ListJobsRequest[] = [];
  const { client } = await serve(t, {
    listJobs: (request) => {
      requests.push(request);
      return pages[request.pageToken]!;
    },
  });
  const ids: string[] = [];
  for await (const job of client.list({ filter: "done = true", orderBy: "priority" })) {
    ids.push(job.jobId);
  }
  assert.deepEqual(ids, ["a", "b", "c"]);
  assert.equal(requests[2]?.filter, "done = true");
  assert.equal(requests[2].orderBy, "priority");
});

test("a wait gives the finished job", async (t) => {
  const service = watchJob(async function* (request) {
    yield* framesAfter(request.afterSequence);
  });
  const { client } = await serve(t, {
    watchJob: service.watchJob,
    getJob: (request) => ({ job: { ...finishedJob(), name: request.name } }),
  });
  const job = await client.wait("j1");
  assert.ok(job.done);
  assert.equal(job.name, JOB);
  assert.deepEqual(service.requests[0]?.eventTypes, ["finished"]);
});

test("an error carries what the server said", async (t) => {
  const violation = { field: "spec.probe.steps", description: "must be at most 100000" };
  const { client } = await serve(t, {
    submitJob: () => {
      throw new ConnectError("1 field is wrong", Code.InvalidArgument, undefined, [
        { desc: ErrorInfoSchema, value: { reason: "INVALID_SPEC", metadata: { kind: "probe" } } },
        { desc: BadRequestSchema, value: { fieldViolations: [violation] } },
        { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n } } },
        { desc: RequestInfoSchema, value: { requestId: "r1" } },
      ]);
    },
  });
  await assert.rejects(client.submit(SPEC), (thrown) => {
    assert.ok(thrown instanceof JobplaneError);
    assert.equal(
      thrown.message,
      "InvalidArgument (INVALID_SPEC): 1 field is wrong; spec.probe.steps: must be at most 100000",
    );
    assert.equal(thrown.reason, "INVALID_SPEC");
    assert.deepEqual(thrown.metadata, { kind: "probe" });
    assert.deepEqual(thrown.violations, [violation]);
    assert.equal(thrown.retryAfterMs, 2000);
    assert.equal(thrown.requestId, "r1");
    return true;
  });
});

test("an error names a wrong field once", async (t) => {
  const { client } = await serve(t, {
    submitJob: () => {
      const fieldViolations = [{ field: "steps", description: "must be at least 0" }];
      throw new ConnectError("steps: must be at least 0", Code.InvalidArgument, undefined, [
        { desc: BadRequestSchema, value: { fieldViolations } },
      ]);
    },
  });
  await assert.rejects(client.submit(SPEC), { message: "InvalidArgument: steps: must be at least 0" });
});

test("a call is bounded by the time limit of its client", async (t) => {
  const getJob = async (_: unknown, { signal }: { signal: AbortSignal }) => {
    await silence(signal);
    return {};
  };
  const { client } = await serve(t, { getJob }, { timeoutMs: 20 });
  await assert.rejects(client.get("j1"), { code: Code.DeadlineExceeded });
});

test("a call ends with its signal", async (t) => {
  const { client } = await serve(t, { getJob: () => ({ job: {} }) });
  const reason = new Error("enough");
  await assert.rejects(client.get("j1", { signal: AbortSignal.abort(reason) }), reason);
});

test("the token goes with every call", async (t) => {
  let got: string | null = "";
  const { client } = await serve(
    t,
    {
      cancelJob: (_, context) => {
        got = context.requestHeader.get("authorization");
        return { job: {} };
      },
    },
    { token: "secret" },
  );
  await client.cancel("j1", "no longer needed");
  assert.equal(got, "Bearer secret");
});

test("only addresses of this machine are plaintext by default", () => {
  const urls = {
    "127.0.0.1:7070": "http://127.0.0.1:7070",
    "localhost:7070": "http://localhost:7070",
    "[::1]:7070": "http://[::1]:7070",
    "jobs.example.com:443": "https://jobs.example.com:443",
    "127.example.com:1": "https://127.example.com:1",
    "http://10.0.0.1:7070": "http://10.0.0.1:7070",
  };
  for (const [address, url] of Object.entries(urls)) {
    assert.equal(urlOf(address), url);
  }
});

test("delays grow to their ceiling and keep the hint of the server", () => {
  const backoff = { firstMs: 200, mostMs: 10_000 };
  for (let failures = 0; failures < 2000; failures += 1) {
    const delay = delayMs(backoff, failures);
    assert.ok(delay >= 0 && delay <= 10_000, `${failures} failures: ${delay} ms`);
  }
  const hinted = delayMs(backoff, 1, 1000);
  assert.ok(hinted >= 1000 && hinted <= 1200);
  assert.ok(delayMs(backoff, 1, 3_600_000) <= 60_200);
});
