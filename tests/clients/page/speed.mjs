// How fast the page draws 5,000 updates a second of 200 instruments: node speed.mjs PROGRAM CHROMIUM
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { figures, live, open, rowsUntil } from "./browser.mjs";

const SECONDS = 20;
const [program, executablePath] = process.argv.slice(2);
const server = spawn(program, ["serve", "--listen", "127.0.0.1:0", "--sim-mode", "quotes", "--sim-instruments", "200", "--sim-rate", "25"], { stdio: ["ignore", "pipe", "ignore"] });
try {
  let url;
  for await (const line of createInterface(server.stdout)) {
    url = line.match(/^listening on (.*)$/)?.[1];
    if (url) break;
  }
  await open(url, executablePath, async (page) => {
    await live(page);
    await rowsUntil(page, "quotes", (rows) => Object.keys(rows).length > 10);
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    const metrics = async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]));
    const frames = page.evaluate((seconds) => new Promise((resolve) => {
      const [start, times] = [performance.now(), []];
      const next = (now) => {
        times.push(now);
        if (now - start < seconds * 1000) requestAnimationFrame(next);
        else resolve(times);
      };
      requestAnimationFrame(next);
    }), SECONDS);
    const before = await metrics();
    const times = await frames;
    const after = await metrics();
    const gaps = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
    const at = (part) => gaps[Math.floor(part * gaps.length)].toFixed(1);
    const rate = (times.length - 1) / ((times.at(-1) - times[0]) / 1000);
    const spent = (name) => (((after[name] - before[name]) * 1000) / times.length).toFixed(2);
    await page.click("#connection");
    await page.waitForFunction(() => /script p95/.test(document.querySelector("#panel-connection dl").textContent));
    const { Updates, Frames, Age, "To the screen": screen } = await figures(page);
    console.log(`${rate.toFixed(1)} frames a second over ${SECONDS} s; between two of them ${at(0.5)} ms in the median, ${at(0.95)} at 95 of 100, ${at(0.99)} at 99`);
    console.log(`a frame: script ${spent("ScriptDuration")} ms, style ${spent("RecalcStyleDuration")} ms, layout ${spent("LayoutDuration")} ms, all tasks ${spent("TaskDuration")} ms of the page's thread in the mean`);
    console.log(`as the page tells: ${Updates}; ${Frames}; age ${Age}; to the screen ${screen}`);
  });
} finally {
  server.kill();
}
