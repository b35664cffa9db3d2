import type { SecureClientSessionOptions } from "node:http2";

import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

/** How to reach a server. */
export interface ConnectionOptions {
  /** Sent as bearer token with every call. */
  readonly token?: string | undefined;
  /** TLS settings as of node:tls, for example `ca`, or `cert` and `key`. */
  readonly tls?: SecureClientSessionOptions | undefined;
}

/** One HTTP/2 connection, opened by its first call and again where it broke. */
export interface Connection {
  readonly transport: Transport;
  close(): void;
}

/** Prepares a connection; timeoutMs bounds calls that set no bound of their own. */
export function openConnection(
  address: string,
  options: ConnectionOptions,
  timeoutMs?: number,
): Connection {
  const baseUrl = urlOf(address);
  // The server allows a ping every 10 s. Without pings a half-open connection would be
  // noticed by watches only.
  const pings = { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 };
  const sessionManager = new Http2SessionManager(baseUrl, pings, options.tls);
  const interceptors = options.token === undefined ? [] : [bearer(options.token)];
  const bound = timeoutMs === undefined ? {} : { defaultTimeoutMs: timeoutMs };
  return {
    transport: createGrpcTransport({ baseUrl, sessionManager, interceptors, ...bound }),
    close: () => sessionManager.abort(),
  };
}

/**
 * Gives the URL of an address. "host:port" is encrypted, except on this machine; a URL says
 * itself what it is.
 */
export function urlOf(address: string): string {
  if (/^https?:\/\//.test(address)) {
    return address;
  }
  const { hostname } = new URL(`http://${address}`);
  const local = hostname === "localhost" || hostname === "[::1]" || /^127\.[\d.]+$/.test(hostname);
  return `${local ? "http" : "https"}://${address}`;
}

function bearer(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
