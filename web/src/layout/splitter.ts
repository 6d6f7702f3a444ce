// The line between two neighbours, which is dragged or moved with the arrow keys.

/** `moved` is told by which part of the whole it moved; `length`: of the whole, in pixels. */
export function splitter(isVertical: boolean, label: string, value: number, length: () => number, moved: (part: number) => void): HTMLElement {
  const line = document.createElement("div");
  line.className = `splitter ${isVertical ? "vertical" : "horizontal"}`;
  line.role = "separator";
  line.tabIndex = 0;
  line.ariaLabel = label;
  line.ariaOrientation = isVertical ? "vertical" : "horizontal";
  line.ariaValueMin = "0";
  line.ariaValueMax = "100";
  line.ariaValueNow = String(Math.round(value * 100));
  let last = 0;
  line.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    line.setPointerCapture(event.pointerId);
    last = isVertical ? event.clientX : event.clientY;
    event.preventDefault();
  });
  line.addEventListener("pointermove", (event) => {
    if (!line.hasPointerCapture(event.pointerId)) return;
    const now = isVertical ? event.clientX : event.clientY;
    moved((now - last) / length());
    last = now;
  });
  line.addEventListener("keydown", (event) => {
    const keys = isVertical ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    const way = keys.indexOf(event.key);
    if (way < 0) return;
    event.preventDefault();
    moved(way === 0 ? -0.02 : 0.02);
  });
  return line;
}
