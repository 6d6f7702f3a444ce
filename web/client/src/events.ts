// What a client tells its owner.

import type { Answer, DataMessage, Failure, Rate } from "./messages.ts";
import type { Divergence, Topic } from "./topic.ts";

export type ConnectionState =
  | { state: "connecting" }
  | { state: "live"; transport: "socket" | "sse"; extensions: string }
  /** It comes back by itself. Until then nothing is known. */
  | { state: "lost"; reason: string; retryMs: number }
  /** It does not come back by itself, because the server would say the same again. */
  | { state: "refused"; reason: string; code: number }
  | { state: "closed" };

/** What one `subscribe` was answered; one to very many symbols is answered in parts. */
export type Subscribed = Answer & { granted: NonNullable<Answer["granted"]> };

export interface SystemMessage {
  channel: "system";
  type: string;
  [field: string]: unknown;
}

export type ClientEvents = {
  connection: [state: ConnectionState];
  /** A topic has a new state; the message led to it. */
  state: [topic: Topic, message: DataMessage];
  /** A trade printed. The trade of a snapshot is a `state`: it is not new. */
  trade: [topic: Topic, message: DataMessage];
  /** Messages of an event channel are lost, as the server says. */
  gap: [topic: Topic, lost: number];
  /** A topic is not what the server has: it is void until what it lacks has come, which was asked for. */
  diverged: [topic: Topic, divergence: Divergence];
  subscribed: [answer: Subscribed];
  failed: [method: string | null, failure: Failure];
  /** The stream began anew: everything of the epoch before is void. */
  epoch: [epoch: string];
  heartbeat: [heartbeat: { ts: number; lag_us: number; laggard: boolean }];
  system: [message: SystemMessage];
};

/** What a client counted since it was made. */
export interface Stats {
  /** Messages of the transport, and their bytes, inflated. */
  frames: number;
  bytes: number;
  /** Objects and records in them. */
  messages: number;
  snapshots: number;
  updates: number;
  /** Changes in those updates, and in snapshots that came in place of updates. */
  merged: number;
  /** How many of those stand for more than one change. */
  merges: number;
  /** Updates whose `prev_seq` was not the state's number. */
  gaps: number;
  /** Messages that the server said it lost. */
  lost: number;
  checksumsOk: number;
  checksumsFailed: number;
  resyncs: number;
  /** Messages that were not applied: of topics that are void, or not followed any more. */
  ignored: number;
  /** Connections after the first. */
  reconnects: number;
  connectFailures: number;
}

export const noStats = (): Stats => ({
  frames: 0, bytes: 0, messages: 0, snapshots: 0, updates: 0, merged: 0, merges: 0, gaps: 0, lost: 0,
  checksumsOk: 0, checksumsFailed: 0, resyncs: 0, ignored: 0, reconnects: 0, connectFailures: 0,
});

export type { Rate };
