// The feed in a worker that all pages of a browser share.

import { Feed } from "./feed.ts";

const feed = new Feed();
(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = ({ ports: [port] }) => feed.attach(port!);
