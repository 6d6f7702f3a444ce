// Bodies of `status`.

import type { ChannelReader } from "./channel.ts";
import { RecordError } from "./reader.ts";

interface Status {
  state: string;
  reason: string;
}

const STATES = ["trading", "halted", "auction", "closed", "stale", "ended"] as const;

export const status: ChannelReader<Status | null> = {
  empty: null,
  snapshot: (reader, scale) => status.update(reader, scale, null, 0),
  update(reader) {
    const start = reader.at;
    const number = reader.byte();
    const state = STATES[number];
    if (state === undefined) throw new RecordError(start, `\`state\` is ${number}`);
    return { state: { state, reason: reader.text("reason") } };
  },
  fields: (status) => ({ ...status }),
  changed: (_old, status) => ({ ...status }),
};
