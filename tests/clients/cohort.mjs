// Follows a market in Node, or in Chromium where its path is given, and prints what was seen:
// node cohort.mjs HOST:PORT SECONDS SEED CONNECTIONS [CHROMIUM]
import { readFile } from "node:fs/promises";

const [address, seconds, seed, connections, chromiumPath] = process.argv.slice(2);
const args = [`ws://${address}/v1/ws`, Number(seconds), Number(seed), Number(connections)];

async function inNode() {
  const [{ WebSocket }, { follow }] = [await import("ws"), await import("./follower.mjs")];
  return follow(WebSocket, ...args);
}

async function inChromium() {
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: [
      "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://${address}/health/live`); // any page of the server's own origin
    const source = await readFile(new URL("follower.mjs", import.meta.url), "utf8");
    return await page.evaluate(async ({ source, args }) => {
      const { follow } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
      return follow(WebSocket, ...args);
    }, { source, args });
  } finally {
    await browser.close();
  }
}

console.log(JSON.stringify(await (chromiumPath ? inChromium() : inNode())));
