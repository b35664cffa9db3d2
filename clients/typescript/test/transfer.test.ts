import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { serveArtifacts } from "./fake.js";

const CONTENT = new TextEncoder().encode("0123456789abcdef");
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

async function read(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    parts.push(chunk);
  }
  return new Uint8Array(Buffer.concat(parts));
}

test("a read goes on after every cut", async (t) => {
  const offsets: bigint[] = [];
  const { client } = await serveArtifacts(t, {
    async *readArtifact({ offset }) {
      offsets.push(offset);
      const data = CONTENT.slice(Number(offset), Number(offset) + 4);
      yield { artifact: { sha256: SHA256 }, offset, data, end: offset === 12n };
      if (offset < 12n) {
        throw new ConnectError("cut", Code.Unavailable);
      }
    },
  });
  assert.deepEqual(await read(client.read("a")), CONTENT);
  assert.deepEqual(offsets, [0n, 4n, 8n, 12n]);
});

test("content that does not match its digest is an error", async (t) => {
  const { client } = await serveArtifacts(t, {
    async *readArtifact() {
      yield { artifact: { sha256: SHA256 }, data: new Uint8Array([1]), end: true };
    },
  });
  await assert.rejects(read(client.read("a")), { reason: "ARTIFACT_CORRUPT" });
});

test("a read gives up when nothing comes", async (t) => {
  let tries = 0;
  const { client } = await serveArtifacts(t, {
    async *readArtifact() {
      tries += 1;
      throw new ConnectError("cut", Code.Unavailable);
    },
  });
  await assert.rejects(read(client.read("a")), { code: Code.Unavailable });
  assert.equal(tries, 6);
});

test("an upload goes on where the server stopped", async (t) => {
  const received: number[] = [];
  const offsets: bigint[] = [];
  const { client } = await serveArtifacts(t, {
    async uploadArtifact(messages) {
      let asks = false;
      for await (const { part } of messages) {
        if (part.case === "header") {
          asks = part.value.asksReceived;
          offsets.push(...(asks ? [] : [part.value.offset]));
        } else if (part.case === "chunk" && received.length === 0) {
          received.push(...part.value.subarray(0, 5));
          throw new ConnectError("cut", Code.Unavailable);
        } else if (part.case === "chunk") {
          received.push(...part.value);
        }
      }
      const receivedBytes = BigInt(received.length);
      return asks ? { receivedBytes } : { receivedBytes, artifact: { name: "stored" } };
    },
  });
  assert.equal((await client.upload(CONTENT)).name, "stored");
  assert.deepEqual(new Uint8Array(received), CONTENT);
  assert.deepEqual(offsets, [0n, 5n]);
});
