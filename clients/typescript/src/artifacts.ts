import { createHash } from "node:crypto";
import { type FileHandle, open, rename } from "node:fs/promises";

import type { JsonValue } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client as Stub, Code } from "@connectrpc/connect";

import { delayMs, pause } from "./backoff.js";
import { type CancellationOptions, type ClientOptions, present } from "./calls.js";
import { JobplaneError, toJobplaneError } from "./errors.js";
import type { Artifact } from "./gen/jobplane/v1/artifact_pb.js";
import { ArtifactService, type UploadArtifactRequestSchema } from "./gen/jobplane/v1/artifact_service_pb.js";
import { JobCalls } from "./jobs.js";
import type { MessageInitShape } from "@bufbuild/protobuf";

/** How much of an upload one message carries. */
const CHUNK_BYTES = 512 * 1024;
/** How often in a row a transfer may break without getting further. */
const TRANSFER_TRIES = 6;
/** How long a download may stand still before it is tried again. */
const SILENCE_MS = 60_000;
/** Slower than this an upload is given up. */
const LEAST_BYTES_PER_MS = 64;
/** The most that the contract gives in one page. */
const ROWS_AT_ONCE = 2000;
const TORN: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
]);

type UploadMessage = MessageInitShape<typeof UploadArtifactRequestSchema>;

export interface UploadOptions extends CancellationOptions {
  /** Names the uploaded file, for display; the media type follows from it. */
  readonly filename?: string | undefined;
  /** For example "text/csv". */
  readonly mediaType?: string | undefined;
}

/** Content to upload: bytes, or the path of a file. */
export type Content = Uint8Array | string;

/** Calls about artifacts. */
export class ArtifactCalls extends JobCalls {
  private readonly content: Stub<typeof ArtifactService>;

  constructor(address: string, options: ClientOptions = {}) {
    super(address, options);
    this.content = this.stub(ArtifactService);
  }

  /** Gives the artifacts of a job, complete and readable. */
  artifacts(job: string, options: CancellationOptions = {}): AsyncGenerator<Artifact, void, undefined> {
    const parent = this.name(job);
    return this.pages(
      options.signal,
      (pageToken, call) => this.content.listArtifacts({ parent, pageToken }, call),
      (page) => page.artifacts,
    );
  }

  /** Reads what is known of an artifact of a job, by its name within the job. */
  async artifact(job: string, artifact: string, options: CancellationOptions = {}): Promise<Artifact> {
    const name = `${this.name(job)}/artifacts/${artifact}`;
    const send = this.repeat(options.signal, (call) => this.content.getArtifact({ name }, call));
    return present((await send).artifact);
  }

  /**
   * Gives the content of an artifact, by its full name, piece by piece. After a cut it goes on
   * with the first byte that is missing, and the whole is checked against its digest: throws
   * at the end when it does not match.
   */
  async *read(
    name: string,
    options: CancellationOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const signal = this.until(options.signal);
    const digest = createHash("sha256");
    let offset = 0n;
    let expectedSha256 = "";
    for (let failures = 0; ; ) {
      const stall = new AbortController();
      const timer = setTimeout(() => stall.abort(), SILENCE_MS);
      let torn: JobplaneError;
      try {
        const both = AbortSignal.any([signal, stall.signal]);
        const request = { name, offset, expectedSha256 };
        for await (const frame of this.content.readArtifact(request, { signal: both, timeoutMs: 0 })) {
          timer.refresh();
          expectedSha256 ||= frame.artifact?.sha256 ?? "";
          if (frame.data.length > 0) {
            if (frame.offset !== offset) {
              throw corrupt(name, `byte ${frame.offset} came where ${offset} was due`);
            }
            offset += BigInt(frame.data.length);
            digest.update(frame.data);
            failures = 0;
            yield frame.data;
          }
          if (frame.end) {
            if (expectedSha256 !== "" && digest.digest("hex") !== expectedSha256) {
              throw corrupt(name, "its content does not match its digest");
            }
            return;
          }
        }
        torn = new JobplaneError(Code.Unavailable, `the read of ${name} broke off at ${offset}`);
      } catch (thrown) {
        signal.throwIfAborted();
        torn = toJobplaneError(thrown);
      } finally {
        clearTimeout(timer);
        stall.abort();
      }
      failures += 1;
      if (!TORN.has(torn.code) || failures === TRANSFER_TRIES) {
        throw torn;
      }
      await pause(delayMs(this.backoff, failures, torn.retryAfterMs), signal);
    }
  }

  /** Writes an artifact to a file, which appears only once all of it is there and right. */
  async download(name: string, path: string, options: CancellationOptions = {}): Promise<void> {
    const file = await open(`${path}.part`, "w");
    try {
      for await (const chunk of this.read(name, options)) {
        await file.writeFile(chunk);
      }
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  }

  /**
   * Makes content an artifact of the client's project, to be given to jobs as an input. It
   * goes on after a cut where the server stopped; what is there is not sent again.
   */
  async upload(content: Content, options: UploadOptions = {}): Promise<Artifact> {
    const signal = this.until(options.signal);
    const { sha256, size } = await measured(content);
    const { filename = "", mediaType = "" } = options;
    const header = { project: this.project, sha256, sizeBytes: BigInt(size), filename, mediaType };
    const call = { signal, timeoutMs: SILENCE_MS + Math.ceil(size / LEAST_BYTES_PER_MS) };
    for (let failures = 1; ; failures += 1) {
      try {
        const asked = await this.content.uploadArtifact(one({ ...header, asksReceived: true }), call);
        if (asked.artifact !== undefined) {
          return asked.artifact;
        }
        const offset = asked.receivedBytes;
        const rest = messages({ ...header, offset }, content, Number(offset));
        return present((await this.content.uploadArtifact(rest, call)).artifact);
      } catch (thrown) {
        signal.throwIfAborted();
        const error = toJobplaneError(thrown);
        if (!TORN.has(error.code) || failures === TRANSFER_TRIES) {
          throw error;
        }
        await pause(delayMs(this.backoff, failures, error.retryAfterMs), signal);
      }
    }
  }

  /** Gives the rows of a table artifact, by its full name, each by column. */
  async *rows(
    name: string,
    columns: readonly string[] = [],
    options: CancellationOptions = {},
  ): AsyncGenerator<Record<string, JsonValue>, void, undefined> {
    for (let offset = 0n; ; ) {
      const request = { name, offset, limit: ROWS_AT_ONCE, columns: [...columns] };
      const page = await this.repeat(options.signal, (call) => this.content.readTable(request, call));
      const names = page.table?.columns.map((column) => column.name) ?? [];
      for (const { values } of page.rows) {
        const cells = values.map((value) => toJson(ValueSchema, value));
        yield Object.fromEntries(names.map((column, at) => [column, cells[at] ?? null]));
      }
      offset += BigInt(page.rows.length);
      if (page.rows.length === 0 || offset >= (page.table?.rowCount ?? 0n)) {
        return;
      }
    }
  }
}

type Header = Extract<NonNullable<UploadMessage["part"]>, { case: "header" }>["value"];

async function* one(header: Header): AsyncGenerator<UploadMessage> {
  yield { part: { case: "header", value: header } };
}

async function* messages(
  header: Header,
  content: Content,
  start: number,
): AsyncGenerator<UploadMessage> {
  yield* one(header);
  for await (const value of chunks(content, start)) {
    yield { part: { case: "chunk", value } };
  }
}

async function measured(content: Content): Promise<{ sha256: string; size: number }> {
  const digest = createHash("sha256");
  let size = 0;
  for await (const chunk of chunks(content, 0)) {
    digest.update(chunk);
    size += chunk.length;
  }
  return { sha256: digest.digest("hex"), size };
}

async function* chunks(content: Content, start: number): AsyncGenerator<Uint8Array> {
  if (typeof content !== "string") {
    for (let at = start; at < content.length; at += CHUNK_BYTES) {
      yield content.subarray(at, at + CHUNK_BYTES);
    }
    return;
  }
  const file = await open(content, "r");
  try {
    for (let at = start, chunk = await slice(file, at); chunk.length > 0; ) {
      yield chunk;
      at += chunk.length;
      chunk = await slice(file, at);
    }
  } finally {
    await file.close();
  }
}

async function slice(file: FileHandle, at: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, at);
  return buffer.subarray(0, bytesRead);
}

function corrupt(name: string, why: string): JobplaneError {
  return new JobplaneError(Code.DataLoss, `${name}: ${why}`, { reason: "ARTIFACT_CORRUPT" });
}
