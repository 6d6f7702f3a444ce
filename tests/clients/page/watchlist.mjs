// The page of a tutorial: node watchlist.mjs URL CHROMIUM SYMBOL… prints each symbol once its row has moved.
import { open, until } from "./browser.mjs";

const [url, executablePath, ...symbols] = process.argv.slice(2);
await open(url, executablePath, async (page) => {
  const row = async (symbol) => {
    const rows = await page.$$eval("tr", (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
    return rows.find((cells) => cells[0] === symbol);
  };
  for (const symbol of symbols) {
    const first = await until(`a row of ${symbol}`, () => row(symbol), (cells) => cells?.length === 5);
    await until(`another quote than ${first}`, () => row(symbol), (cells) => String(cells) !== String(first));
    console.log(symbol);
  }
});
