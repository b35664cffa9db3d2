import { Code, ConnectError } from "@connectrpc/connect";
import { durationMs } from "@bufbuild/protobuf/wkt";

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";

export { Code };

/** One field that was wrong. */
export interface Violation {
  /** Its path, for example "spec.probe.steps". */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** What is known of an error besides its code and message. */
export interface ErrorParts {
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly Violation[];
  readonly retryAfterMs?: number;
  readonly requestId?: string;
  readonly cause?: unknown;
}

/** What the server said when it refused or could not do something. */
export class JobplaneError extends Error {
  override readonly name = "JobplaneError";
  /** The gRPC code. */
  readonly code: Code;
  /**
   * Stable and made for programs, for example "JOB_NOT_FOUND"; empty when the error did not
   * come from a Jobplane server.
   */
  readonly reason: string;
  /** Belongs to the reason, for example "allowed" of INVALID_TRANSITION. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The fields that were wrong, all of them unless there were very many. */
  readonly violations: readonly Violation[];
  /** When the server expects the call to work; 0 when it does not say. */
  readonly retryAfterMs: number;
  /** Names the call in the server's log; empty when the server does not give it. */
  readonly requestId: string;

  constructor(code: Code, message: string, parts: ErrorParts = {}) {
    super(message, { cause: parts.cause });
    this.code = code;
    this.reason = parts.reason ?? "";
    this.metadata = parts.metadata ?? {};
    this.violations = parts.violations ?? [];
    this.retryAfterMs = parts.retryAfterMs ?? 0;
    this.requestId = parts.requestId ?? "";
  }
}

/** Turns whatever a call threw into a JobplaneError. */
export function toJobplaneError(thrown: unknown): JobplaneError {
  if (thrown instanceof JobplaneError) {
    return thrown;
  }
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violations = error
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations)
    .map(({ field, description }) => ({ field, description }));
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const request = error.findDetails(RequestInfoSchema)[0];
  const reason = info === undefined ? "" : ` (${info.reason})`;
  const message = `${Code[error.code]}${reason}: ${withFields(error.rawMessage, violations)}`;
  return new JobplaneError(error.code, message, {
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    violations,
    retryAfterMs: delay === undefined ? 0 : durationMs(delay),
    requestId: request?.requestId ?? error.metadata.get("x-request-id") ?? "",
    cause: thrown,
  });
}

/** Adds the wrong fields that a sentence does not name itself. */
function withFields(sentence: string, violations: readonly Violation[]): string {
  const wrong = violations.map(({ field, description }) => `${field}: ${description}`);
  return [sentence, ...wrong.filter((text) => !sentence.includes(text))].join("; ");
}

/** The codes with which a torn connection shows. */
const TORN: ReadonlySet<Code> = new Set([Code.Aborted, Code.Canceled, Code.Internal]);

/**
 * Says whether the call may not have reached a working server, as opposed to one that
 * answered: every answer of a server has a reason, a torn connection has none.
 */
export function isLost(error: JobplaneError): boolean {
  return error.code === Code.Unavailable || (error.reason === "" && TORN.has(error.code));
}
