// Opens a server's page in Chromium, which trusts one certificate beside its own: node secure.mjs URL CERTIFICATE CHROMIUM
import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { live, open, rowsUntil } from "./browser.mjs";

const [url, certificate, executablePath] = process.argv.slice(2);
const { publicKey } = new X509Certificate(await readFile(certificate));
const pin = createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
await open(url, executablePath, async (page) => {
  await live(page);
  const bids = (rows) => Object.values(rows).map((cells) => cells[3]).join();
  const before = await rowsUntil(page, "quotes", (rows) => Object.keys(rows).length === 3 && /\d/.test(bids(rows)));
  await rowsUntil(page, "bids that move", (rows) => bids(rows) !== bids(before));
  assert.ok(await page.evaluate(() => isSecureContext));
}, { flags: [`--ignore-certificate-errors-spki-list=${pin}`] });
