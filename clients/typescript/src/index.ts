/** Submits, watches and steers the jobs of a Jobplane server. */

export type { Backoff } from "./backoff.js";
export {
  type CancellationOptions,
  Client,
  type ClientOptions,
  type JobSpecInit,
  type ListOptions,
  type SubmitOptions,
} from "./client.js";
export { Code, type ErrorParts, JobplaneError, toJobplaneError, type Violation } from "./errors.js";
export type { JobEvent } from "./gen/jobplane/v1/event_pb.js";
export { type Failure, type Job, JobPhase, JobStatus } from "./gen/jobplane/v1/job_pb.js";
export { isFinished, type Update, type WatchOptions } from "./watch.js";
