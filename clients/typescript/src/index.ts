/** Submits, watches and steers the jobs of a Jobplane server. */

export type { Content, UploadOptions } from "./artifacts.js";
export type { Backoff } from "./backoff.js";
export type { CancellationOptions, ClientOptions } from "./calls.js";
export { Client } from "./client.js";
export { Code, type ErrorParts, JobplaneError, toJobplaneError, type Violation } from "./errors.js";
export type { Artifact } from "./gen/jobplane/v1/artifact_pb.js";
export type { Dataset } from "./gen/jobplane/v1/dataset_service_pb.js";
export type { JobEvent } from "./gen/jobplane/v1/event_pb.js";
export { type Failure, type Job, JobPhase, JobStatus } from "./gen/jobplane/v1/job_pb.js";
export { type Model, ModelStage, RolloutStrategy } from "./gen/jobplane/v1/model_service_pb.js";
export { type Queue, QueueState, type Quota } from "./gen/jobplane/v1/quota_service_pb.js";
export { OverlapPolicy, type Schedule } from "./gen/jobplane/v1/schedule_service_pb.js";
export type { JobSpecInit, ListOptions, SubmitOptions } from "./jobs.js";
export type { DatasetInit, Promotion, Rollback, ScheduleInit } from "./library.js";
export type { JobChange, WatchJobsOptions } from "./sets.js";
export type { OnReconnect } from "./streams.js";
export { isFinished, type Update, type WatchOptions } from "./watch.js";
