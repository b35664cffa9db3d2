import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

import { Client, type ClientOptions } from "../src/index.js";
import { ArtifactService } from "../src/gen/jobplane/v1/artifact_service_pb.js";
import {
  JobService,
  type WatchJobRequest,
  WatchJobResponse_End_Reason as EndReason,
  type WatchJobResponseSchema,
} from "../src/gen/jobplane/v1/job_service_pb.js";

export type Frame = MessageInitShape<typeof WatchJobResponseSchema>;
type Events = NonNullable<Extract<Frame["frame"], { case: "events" }>["value"]["events"]>;
type Event = Events[number];

export const JOB = "projects/default/jobs/j1";
export const LAST = 6n;

/** Serves a part of JobService on a free port, and gives a client that retries at once. */
export function serve(
  context: TestContext,
  service: Partial<ServiceImpl<typeof JobService>>,
  options: ClientOptions = {},
): Promise<{ client: Client; drop: () => void }> {
  return serveRoutes(context, (router) => router.service(JobService, service), options);
}

/** Serves a part of ArtifactService in the same way. */
export function serveArtifacts(
  context: TestContext,
  service: Partial<ServiceImpl<typeof ArtifactService>>,
): Promise<{ client: Client; drop: () => void }> {
  return serveRoutes(context, (router) => router.service(ArtifactService, service));
}

async function serveRoutes(
  context: TestContext,
  route: (router: ConnectRouter) => void,
  options: ClientOptions = {},
): Promise<{ client: Client; drop: () => void }> {
  const sessions = new Set<ServerHttp2Session>();
  const routes = connectNodeAdapter({ routes: route });
  const server: Http2Server = createServer(routes);
  server.on("session", (session) => sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const backoff = { firstMs: 0.1, mostMs: 1 };
  const client = new Client(`127.0.0.1:${port}`, { backoff, ...options });
  const drop = (): void => sessions.forEach((session) => session.destroy());
  context.after(() => {
    client.close();
    drop();
    server.close();
  });
  return { client, drop };
}

/** Counts the streams of a watch, and hands each to what it should do. */
export function watchJob(
  answer: (request: WatchJobRequest, stream: number, signal: AbortSignal) => AsyncIterable<Frame>,
): { requests: WatchJobRequest[]; watchJob: ServiceImpl<typeof JobService>["watchJob"] } {
  const requests: WatchJobRequest[] = [];
  return {
    requests,
    watchJob: (request, context) => {
      requests.push(request);
      return answer(request, requests.length, context.signal);
    },
  };
}

/** Never ends by itself. */
export function silence(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    }
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export function durable(sequence: bigint): Event {
  const last = sequence === LAST;
  const payload: Event["payload"] = last
    ? { case: "finished", value: {} }
    : { case: "stageStarted", value: { stage: "s" } };
  return { job: JOB, sequence, payload };
}

export function eventsFrame(cursor: bigint, ...events: Events): Frame {
  return { cursor, frame: { case: "events", value: { events } } };
}

export function heartbeatFrame(cursor: bigint): Frame {
  return { cursor, frame: { case: "heartbeat", value: {} } };
}

export function endFrame(reason: EndReason, retryAfterMs = 0): Frame {
  const retryAfter = { seconds: 0n, nanos: retryAfterMs * 1_000_000 };
  const job = reason === EndReason.FINISHED ? { job: finishedJob() } : {};
  return { cursor: LAST, frame: { case: "end", value: { reason, retryAfter, ...job } } };
}

export function finishedJob(): { name: string; done: boolean; sequence: bigint } {
  return { name: JOB, done: true, sequence: LAST };
}

/**
 * Gives the whole stream that a server would send for a cursor: batches of two events with
 * progress and heartbeats between them, then the end.
 */
export function framesAfter(after: bigint | undefined): Frame[] {
  const frames: Frame[] = [];
  let at = after ?? 2n;
  if (after === undefined) {
    const value = { job: { name: JOB, sequence: at } };
    frames.push({ cursor: at, frame: { case: "snapshot", value } });
  }
  while (at < LAST) {
    const progress: Event = { job: JOB, ephemeral: true, payload: { case: "progress", value: {} } };
    const batch = [durable(at + 1n), progress];
    at += 1n;
    if (at < LAST) {
      at += 1n;
      batch.push(durable(at));
    }
    frames.push(eventsFrame(at, ...batch), heartbeatFrame(at));
  }
  frames.push(endFrame(EndReason.FINISHED));
  return frames;
}
