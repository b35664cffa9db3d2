// Submits a probe job and prints what happens to it, one line per event.

import { parseArgs } from "node:util";

import { toJson } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Client, JobStatus } from "@jobplane/client";
import { JobResultSchema } from "@jobplane/client/gen/jobplane/v1/spec_pb";

const { values } = parseArgs({
  options: {
    address: { type: "string", default: "127.0.0.1:7070" },
    project: { type: "string", default: "default" },
    steps: { type: "string", default: "3" },
    "step-ms": { type: "string", default: "100" },
    "timeout-ms": { type: "string", default: "60000" },
  },
});
const signal = AbortSignal.timeout(Number(values["timeout-ms"]));
const client = new Client(values.address, { project: values.project });
try {
  const stepDuration = durationFromMs(Number(values["step-ms"]));
  const probe = { steps: Number(values.steps), stepDuration };
  const submitted = await client.submit({ kind: { case: "probe", value: probe } }, { signal });
  const name = submitted.job?.name ?? "";
  console.log("job", name);
  const onReconnect = (cause: Error, delayMs: number): void =>
    console.error(`reconnecting in ${Math.round(delayMs)} ms: ${cause.message}`);
  for await (const update of client.watch(name, { after: 0n, signal, onReconnect })) {
    if (update.type === "event") {
      console.log("event", String(update.event.sequence), update.event.payload.case ?? "unknown");
    }
  }
  const job = await client.get(name, { signal });
  console.log("status", JobStatus[job.status]);
  if (job.result !== undefined) {
    console.log("result", JSON.stringify(toJson(JobResultSchema, job.result)));
  }
} finally {
  client.close();
}
