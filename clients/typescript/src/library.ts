import { randomUUID } from "node:crypto";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Client as Stub } from "@connectrpc/connect";

import { ArtifactCalls } from "./artifacts.js";
import { type CancellationOptions, type ClientOptions, present } from "./calls.js";
import {
  type Dataset,
  DatasetService,
  type RegisterDatasetRequestSchema,
} from "./gen/jobplane/v1/dataset_service_pb.js";
import type { Job } from "./gen/jobplane/v1/job_pb.js";
import {
  type Model,
  ModelService,
  type PromoteModelRequestSchema,
  type RollbackModelRequestSchema,
} from "./gen/jobplane/v1/model_service_pb.js";
import { type Queue, type QueueState, type Quota, QuotaService } from "./gen/jobplane/v1/quota_service_pb.js";
import { type Schedule, type ScheduleSchema, ScheduleService } from "./gen/jobplane/v1/schedule_service_pb.js";

type Init<Message, Left extends string> = Omit<
  Exclude<Message, { $typeName: string }>,
  "$typeName" | "$unknown" | Left
>;

/** What to register; the project is the client's. */
export type DatasetInit = Init<MessageInitShape<typeof RegisterDatasetRequestSchema>, "project">;
/** Where to promote a model to, and how. */
export type Promotion = Init<MessageInitShape<typeof PromoteModelRequestSchema>, "name">;
/** Which stage to roll back, and why. */
export type Rollback = Init<MessageInitShape<typeof RollbackModelRequestSchema>, "name">;
/** When to submit what. */
export type ScheduleInit = Init<MessageInitShape<typeof ScheduleSchema>, "name">;

type Options = CancellationOptions;

/** Calls about data sets, models, quotas, queues and schedules. */
export class LibraryCalls extends ArtifactCalls {
  private readonly datasetCalls: Stub<typeof DatasetService>;
  private readonly modelCalls: Stub<typeof ModelService>;
  private readonly quotaCalls: Stub<typeof QuotaService>;
  private readonly scheduleCalls: Stub<typeof ScheduleService>;

  constructor(address: string, options: ClientOptions = {}) {
    super(address, options);
    this.datasetCalls = this.stub(DatasetService);
    this.modelCalls = this.stub(ModelService);
    this.quotaCalls = this.stub(QuotaService);
    this.scheduleCalls = this.stub(ScheduleService);
  }

  /** Makes uploaded content a version of a data set; the same content gives it again. */
  async registerDataset(dataset: DatasetInit, options: Options = {}): Promise<Dataset> {
    const request = { ...dataset, project: this.project };
    const send = this.repeat(options.signal, (call) => this.datasetCalls.registerDataset(request, call));
    return present((await send).dataset);
  }

  /** Reads one version of a data set. */
  async dataset(id: string, version: string, options: Options = {}): Promise<Dataset> {
    const name = `${this.within("datasets", id)}/versions/${version}`;
    const send = this.repeat(options.signal, (call) => this.datasetCalls.getDataset({ name }, call));
    return present((await send).dataset);
  }

  /** Gives the versions of all data sets that match, newest first. */
  datasets(filter = "", options: Options = {}): AsyncGenerator<Dataset, void, undefined> {
    const request = { project: this.project, filter };
    return this.pages(
      options.signal,
      (pageToken, call) => this.datasetCalls.listDatasets({ ...request, pageToken }, call),
      (page) => page.datasets,
    );
  }

  /** Reads one version of a model, by name or by id. */
  async model(id: string, options: Options = {}): Promise<Model> {
    const name = this.within("models", id);
    const send = this.repeat(options.signal, (call) => this.modelCalls.getModel({ name }, call));
    return present((await send).model);
  }

  /** Gives the versions of all models that match, newest first. */
  models(filter = "", options: Options = {}): AsyncGenerator<Model, void, undefined> {
    const request = { project: this.project, filter };
    return this.pages(
      options.signal,
      (pageToken, call) => this.modelCalls.listModels({ ...request, pageToken }, call),
      (page) => page.models,
    );
  }

  /** Moves a version to a stage, once, however often it was sent. */
  async promoteModel(id: string, to: Promotion, options: Options = {}): Promise<Model> {
    const idempotencyKey = to.idempotencyKey || randomUUID();
    const request = { ...to, name: this.within("models", id), idempotencyKey };
    const send = this.repeat(options.signal, (call) => this.modelCalls.promoteModel(request, call));
    return present((await send).model);
  }

  /** Puts the previous version of a stage back, once, however often it was sent. */
  async rollbackModel(id: string, what: Rollback, options: Options = {}): Promise<Model> {
    const idempotencyKey = what.idempotencyKey || randomUUID();
    const request = { ...what, name: this.within("models", id), idempotencyKey };
    const send = this.repeat(options.signal, (call) => this.modelCalls.rollbackModel(request, call));
    return present((await send).model);
  }

  /** Reads the limits of the client's project, and how much of them is used. */
  async quota(options: Options = {}): Promise<Quota> {
    const name = `projects/${this.project}/quota`;
    const send = this.repeat(options.signal, (call) => this.quotaCalls.getQuota({ name }, call));
    return present((await send).quota);
  }

  /** Changes limits by metric and no others; undefined takes a limit away. */
  async updateQuota(
    limits: Readonly<Record<string, number | undefined>>,
    options: Options = {},
  ): Promise<Quota> {
    const kept = Object.entries(limits).flatMap(([metric, limit]) =>
      limit === undefined ? [] : [[metric, limit] as const],
    );
    const quota = { name: `projects/${this.project}/quota`, limits: Object.fromEntries(kept) };
    const updateMask = { paths: Object.keys(limits).map((metric) => `limits.${metric}`) };
    const request = { quota, updateMask };
    const send = this.once(options.signal, (call) => this.quotaCalls.updateQuota(request, call));
    return present((await send).quota);
  }

  /** Gives the queues of the server with their state and depth, by name. */
  queues(options: Options = {}): AsyncGenerator<Queue, void, undefined> {
    return this.pages(
      options.signal,
      (pageToken, call) => this.quotaCalls.listQueues({ pageToken }, call),
      (page) => page.queues,
    );
  }

  /** Opens, cordons or closes a queue. */
  async setQueueState(
    queue: string,
    state: QueueState,
    reason = "",
    options: Options = {},
  ): Promise<Queue> {
    const request = { name: `queues/${queue}`, state, reason };
    const send = this.once(options.signal, (call) => this.quotaCalls.setQueueState(request, call));
    return present((await send).queue);
  }

  /** Makes a schedule under an id of the client's project. */
  async createSchedule(id: string, schedule: ScheduleInit, options: Options = {}): Promise<Schedule> {
    const template = { ...schedule.template, project: schedule.template?.project || this.project };
    const request = {
      project: this.project,
      scheduleId: id,
      schedule: { ...schedule, template } as MessageInitShape<typeof ScheduleSchema>,
    };
    const send = this.once(options.signal, (call) => this.scheduleCalls.createSchedule(request, call));
    return present((await send).schedule);
  }

  /** Reads a schedule with its next times and its last jobs, by name or by id. */
  async schedule(id: string, options: Options = {}): Promise<Schedule> {
    const name = this.within("schedules", id);
    const send = this.repeat(options.signal, (call) => this.scheduleCalls.getSchedule({ name }, call));
    return present((await send).schedule);
  }

  /** Gives the schedules of the client's project, by name. */
  schedules(options: Options = {}): AsyncGenerator<Schedule, void, undefined> {
    const request = { project: this.project };
    return this.pages(
      options.signal,
      (pageToken, call) => this.scheduleCalls.listSchedules({ ...request, pageToken }, call),
      (page) => page.schedules,
    );
  }

  /** Changes the fields at these paths, for example "paused", and no others. */
  async updateSchedule(
    id: string,
    schedule: ScheduleInit,
    paths: readonly string[],
    options: Options = {},
  ): Promise<Schedule> {
    const name = this.within("schedules", id);
    const request = { schedule: { ...schedule, name }, updateMask: { paths: [...paths] } };
    const send = this.once(options.signal, (call) => this.scheduleCalls.updateSchedule(request, call));
    return present((await send).schedule);
  }

  /** Removes a schedule; its jobs stay. */
  async deleteSchedule(id: string, options: Options = {}): Promise<void> {
    const name = this.within("schedules", id);
    await this.once(options.signal, (call) => this.scheduleCalls.deleteSchedule({ name }, call));
  }

  /** Submits the schedule's job now, paused or not; once, however often it was sent. */
  async triggerSchedule(id: string, options: Options = {}): Promise<Job> {
    const request = { name: this.within("schedules", id), idempotencyKey: randomUUID() };
    const send = this.repeat(options.signal, (call) => this.scheduleCalls.triggerSchedule(request, call));
    return present((await send).submitted?.job);
  }

  /** Gives the next times at which such a schedule would fire; nothing is stored. */
  async previewSchedule(
    cron: string,
    what: { readonly timeZone?: string; readonly count?: number } = {},
    options: Options = {},
  ): Promise<Date[]> {
    const request = { cron, ...what };
    const send = this.repeat(options.signal, (call) => this.scheduleCalls.previewSchedule(request, call));
    return (await send).times.map(timestampDate);
  }
}
