// The feed in a worker of one page, where browsers have none that are shared.

import { Feed, type Port } from "./feed.ts";

new Feed().attach(self as unknown as Port);
