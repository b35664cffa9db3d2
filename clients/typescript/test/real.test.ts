// Calls of every service against the server that JOBPLANE_ADDRESS names: tests/clients starts one.

import assert from "node:assert/strict";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { Client, QueueState } from "../src/index.js";

const address = process.env["JOBPLANE_ADDRESS"] ?? "";
const skip = address === "" && "JOBPLANE_ADDRESS names no server; run: pytest tests/clients/test_typescript.py";
const probe = (tableRows = 0n) => ({ kind: { case: "probe", value: { steps: 2, tableRows } } }) as const;

function connect(context: TestContext): Client {
  const client = new Client(address, { project: "ts" });
  context.after(() => client.close());
  return client;
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}

test("content goes up and comes down", { skip }, async (t) => {
  const client = connect(t);
  const folder = await mkdtemp(join(tmpdir(), "jobplane-"));
  const path = join(folder, "prices.csv");
  await writeFile(path, `a,b\n${"1,2\n".repeat(300_000)}`);
  const artifact = await client.upload(path, { filename: "prices.csv" });
  const again = await client.upload(await readFile(path));
  assert.equal(again.name, artifact.name);
  await client.download(artifact.name, join(folder, "copy.csv"));
  assert.deepEqual(await readFile(join(folder, "copy.csv")), await readFile(path));
  const init = { datasetId: "prices", version: "v1", artifact: artifact.name, format: "table" };
  const made = await client.registerDataset(init);
  assert.deepEqual(await client.dataset("prices", "v1"), made);
  assert.equal((await collect(client.datasets('format = "table"'))).length, 1);
});

test("a table is read row by row", { skip }, async (t) => {
  const client = connect(t);
  const { job } = await client.submit(probe(2500n));
  const done = await client.wait(job!.name);
  const names = (await collect(client.artifacts(done.name))).map((one) => one.artifactId);
  assert.ok(names.includes("table.csv"));
  const table = await client.artifact(done.name, "table.csv");
  const rows = await collect(client.rows(table.name));
  assert.equal(rows.length, 2500);
  const history = await collect(client.history(done.name));
  assert.equal(history[0]?.sequence, 1n);
});

test("queues and quotas are set", { skip }, async (t) => {
  const client = connect(t);
  await client.setQueueState("ts-night", QueueState.CORDONED, "dark");
  const { job } = await client.submit(probe(), { queue: "ts-night" });
  assert.equal((await client.updateQuota({ queued: 1 })).limits["queued"], 1);
  await assert.rejects(client.submit(probe()), { reason: "QUOTA_EXCEEDED" });
  assert.deepEqual((await client.updateQuota({ queued: undefined })).limits, {});
  assert.equal((await client.quota()).usage["queued"], 1);
  assert.equal(await client.cancelAll('queue = "ts-night"', "over", { dryRun: true }), 1);
  assert.equal(await client.cancelAll('queue = "ts-night"', "over"), 1);
  assert.equal(await client.count("status = CANCELLED"), 1n);
  await client.delete(job!.name);
  const queues = (await collect(client.queues())).map((queue) => queue.name);
  assert.ok(queues.includes("queues/ts-night"));
});

test("a schedule lives", { skip }, async (t) => {
  const client = connect(t);
  await client.createSchedule("nightly", { cron: "0 3 * * *", template: { spec: probe() } });
  const job = await client.triggerSchedule("nightly");
  assert.ok((await client.wait(job.name)).done);
  assert.ok((await client.updateSchedule("nightly", { paused: true }, ["paused"])).paused);
  assert.equal((await collect(client.schedules())).length, 1);
  assert.equal((await client.previewSchedule("0 3 * * *", { count: 2 })).length, 2);
  await client.deleteSchedule("nightly");
});

test("a set is followed until all are finished", { skip }, async (t) => {
  const client = connect(t);
  for (let number = 0; number < 3; number += 1) {
    await client.submit(probe(), { labels: { set: "ts" } });
  }
  const finished = new Map<string, boolean>();
  for await (const change of client.watchJobs('labels.set = "ts"', { untilAllFinished: true })) {
    finished.set(change.job.name, change.job.done);
  }
  assert.deepEqual([...finished.values()], [true, true, true]);
});
