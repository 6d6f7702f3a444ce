// A canvas as sharp as the display is, and as large as its place.

export const FONT = '12.5px ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
export const SMALL_FONT = FONT.replace("12.5px", "11px");
export const NAME_FONT = '600 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

export class Surface {
  readonly canvas: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  width = 0;
  height = 0;

  /** Fills `place`, whatever its size becomes; `changed`: it was cleared by that, and is to be drawn. */
  constructor(place: HTMLElement, changed: () => void) {
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.context = this.canvas.getContext("2d", { alpha: false })!;
    place.append(this.canvas);
    new ResizeObserver(() => {
      this.#fit(place.clientWidth, place.clientHeight);
      changed();
    }).observe(place);
  }

  #fit(width: number, height: number): void {
    const scale = devicePixelRatio;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.textBaseline = "middle";
  }

  get isVisible(): boolean {
    return this.width > 0 && this.height > 0;
  }

  fill(colour: string, x = 0, y = 0, width = this.width, height = this.height): void {
    this.context.fillStyle = colour;
    this.context.fillRect(x, y, width, height);
  }

  text(text: string, x: number, y: number, colour: string, align: CanvasTextAlign = "left"): void {
    this.context.fillStyle = colour;
    this.context.textAlign = align;
    this.context.fillText(text, x, y);
  }
}
