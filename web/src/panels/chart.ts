// Candles with volume, from history by REST and live bars. The library draws numbers; what is read off is the text.

import { CandlestickSeries, ColorType, createChart, CrosshairMode, HistogramSeries, type IChartApi, type ISeriesApi, type UTCTimestamp } from "lightweight-charts";
import type { Interval, TickerFields } from "tickwire-client";
import type { LiveBar } from "../feed/messages.ts";
import { clock, day, direction, NONE, percent, quantity, signed } from "../format.ts";
import type { Market } from "../market.ts";
import { onTheme, theme } from "../theme.ts";
import { choice, type Panel } from "./panel.ts";

const INTERVALS = ["1s", "1m", "5m", "1h", "1d"] as const;
/** Bars that are held; the oldest go first. */
const BARS_MAX = 2_000;
const FIELDS = ["open", "high", "low", "close", "volume"] as const;

export class Chart implements Panel {
  readonly id = "chart";
  readonly title = "Chart";
  readonly short = "Chart";
  readonly body = document.createElement("div");
  readonly tools: readonly HTMLElement[];
  readonly #market: Market;
  readonly #place = document.createElement("div");
  readonly #quote = document.createElement("div");
  readonly #legend = document.createElement("p");
  readonly #chart: IChartApi;
  readonly #candles: ISeriesApi<"Candlestick">;
  readonly #volume: ISeriesApi<"Histogram">;
  /** By their start, oldest first. */
  #bars = new Map<number, LiveBar>();
  #newest = 0;
  #pointed: number | null = null;

  constructor(market: Market, interval: Interval, chooseInterval: (interval: Interval) => void) {
    this.#market = market;
    this.body.className = "chart";
    this.body.role = "group";
    this.#quote.className = "headline";
    this.#legend.className = "legend";
    this.#place.className = "candles";
        this.#place.append(this.#legend);
    this.body.append(this.#quote, this.#place);
    this.tools = [choice("Interval of a candle", INTERVALS, interval, chooseInterval).element];
    this.#chart = createChart(this.#place, {
      autoSize: true,
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4, barSpacing: 8, borderVisible: false },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.24 } },
      // The library's own mark brings a style of its own, which the page's policy forbids: the page names it at its foot.
      layout: { attributionLogo: false },
    });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#volume = this.#chart.addSeries(HistogramSeries, { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#chart.subscribeCrosshairMove(({ time }) => {
      this.#pointed = typeof time === "number" ? time * 1_000_000 : null;
      this.#say();
    });
    this.#paint();
    onTheme(() => this.#paint());
  }

  /** Another instrument or interval: nothing is known of it yet. */
  begin(symbol: string, interval: Interval): void {
    this.#bars = new Map();
    this.#newest = 0;
    this.#pointed = null;
    this.#candles.setData([]);
    this.#volume.setData([]);
    this.body.ariaLabel = `Candles of ${symbol}, ${interval} each`;
    this.#chart.timeScale().applyOptions({ secondsVisible: interval === "1s" });
    this.#say();
    this.session();
  }

  /** Bars from before; what is live already is newer. */
  earlier(bars: readonly LiveBar[]): void {
    const all = new Map(bars.map((bar) => [bar.start, bar]));
    for (const [start, bar] of this.#bars) all.set(start, bar);
    this.#bars = new Map([...all].sort(([a], [b]) => a - b));
    this.#newest = [...this.#bars.keys()].at(-1) ?? 0;
    const [first] = this.#bars.values();
    if (first) this.#scale(first);
    this.#drawAll();
    this.#chart.timeScale().scrollToRealTime();
  }

  live(bars: readonly LiveBar[]): void {
    let isOutOfOrder = false;
    for (const bar of bars) {
      if (this.#bars.size === 0) this.#scale(bar);
      this.#bars.set(bar.start, bar);
      if (bar.start < this.#newest) {
        isOutOfOrder = true;
        continue;
      }
      this.#newest = bar.start;
      this.#candles.update(candle(bar));
      this.#volume.update(this.#column(bar));
    }
    if (isOutOfOrder || this.#bars.size > BARS_MAX) {
      const kept = [...this.#bars].sort(([a], [b]) => a - b).slice(-BARS_MAX / 2);
      this.#bars = new Map(kept);
      this.#drawAll();
    }
    this.#say();
  }

  /** The session's figures have changed. */
  session(): void {
    const { detail } = this.#market;
    const ticker = detail?.ticker ?? null;
    const symbol = detail?.symbol ?? "";
    const moved = direction(ticker?.change);
    const change = ticker?.change && ticker.change_percent ? `${signed(ticker.change)}  ${percent(ticker.change_percent)}` : "";
    const parts: [string, string, string][] = [
      ["b", "symbol", symbol],
      ["span", "last", ticker?.last ?? NONE],
      ["span", `change ${moved}`, change],
      ...figures(ticker).map(([name, value]): [string, string, string] => ["span", "figure", `${name}\u00a0${value}`]),
    ];
    const text = JSON.stringify(parts);
    if (this.#quote.dataset.text === text) return;
    this.#quote.dataset.text = text;
    const elements = parts.map(([tag, name, text]) => {
      const element = document.createElement(tag);
      element.className = name;
      element.textContent = text;
      return element;
    });
    const rest = document.createElement("div");
    rest.className = "figures";
    rest.append(...elements.splice(3));
    this.#quote.replaceChildren(...elements, rest);
  }

  #drawAll(): void {
    const bars = [...this.#bars.values()];
    this.#candles.setData(bars.map(candle));
    this.#volume.setData(bars.map((bar) => this.#column(bar)));
    this.#say();
  }

  /** As many decimals as the instrument has. */
  #scale({ close }: LiveBar): void {
    const precision = close.includes(".") ? close.length - close.indexOf(".") - 1 : 0;
    this.#candles.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
  }

  #column({ start, open, close, volume }: LiveBar) {
    const colours = theme();
    return { time: seconds(start), value: Number(volume), color: Number(close) >= Number(open) ? colours["up-bar"] : colours["down-bar"] };
  }

  /** The bar under the pointer, or the newest one. */
  #say(): void {
    const bar = this.#bars.get(this.#pointed ?? this.#newest);
    this.#legend.textContent = bar
      ? `${day(bar.start)} ${clock(bar.start).slice(0, 8)}   ${FIELDS.map((field) => `${field[0]!.toUpperCase()} ${field === "volume" ? quantity(bar[field]) : bar[field]}`).join("   ")}`
      : "No trades yet";
  }

  #paint(): void {
    const colours = theme();
    this.#chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: colours.sheet }, textColor: colours.soft, fontSize: 11 },
      grid: { vertLines: { color: colours.grid }, horzLines: { color: colours.grid } },
      crosshair: { vertLine: { color: colours.faint, labelBackgroundColor: colours.accent }, horzLine: { color: colours.faint, labelBackgroundColor: colours.accent } },
    });
    this.#candles.applyOptions({ upColor: colours.up, downColor: colours.down, wickUpColor: colours.up, wickDownColor: colours.down });
    this.#volume.setData([...this.#bars.values()].map((bar) => this.#column(bar)));
  }
}

const seconds = (micros: number): UTCTimestamp => Math.floor(micros / 1_000_000) as UTCTimestamp;

const candle = ({ start, open, high, low, close }: LiveBar) => ({ time: seconds(start), open: Number(open), high: Number(high), low: Number(low), close: Number(close) });

const figures = (ticker: TickerFields | null): [string, string][] => [
  ["Open", ticker?.open ?? NONE],
  ["High", ticker?.high ?? NONE],
  ["Low", ticker?.low ?? NONE],
  ["VWAP", ticker?.vwap ?? NONE],
  ["Volume", ticker?.volume ? quantity(ticker.volume) : NONE],
];
