// A sparkline: the last minute of a price. It is a picture, without numbers.

import { type Row, SPARK_POINTS } from "../market.ts";
import type { Surface } from "../surface.ts";
import type { Colours } from "../theme.ts";

/** The part of a price that is at least as high as the line's place. */
const CALM = 0.0005;

export function drawSpark({ context }: Surface, { spark, sparkCount }: Row, x: number, y: number, width: number, height: number, colours: Colours): void {
  if (sparkCount < 2) return;
  const first = SPARK_POINTS - sparkCount;
  let [low, high] = [spark[first]!, spark[first]!];
  for (let point = first; point < SPARK_POINTS; point += 1) {
    low = Math.min(low, spark[point]!);
    high = Math.max(high, spark[point]!);
  }
  const [from, to] = [spark[first]!, spark[SPARK_POINTS - 1]!];
  // A calm price is a calm line, however small its steps are.
  const span = Math.max(high - low, high * CALM);
  const bottom = y + height / 2 + (height * (high - low)) / span / 2;
  const scale = span > 0 ? height / span : 0;
  context.strokeStyle = to > from ? colours.up : to < from ? colours.down : colours.faint;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.beginPath();
  for (let point = first; point < SPARK_POINTS; point += 1) {
    const at = x + (point * width) / (SPARK_POINTS - 1);
    const level = bottom - (spark[point]! - low) * scale;
    if (point === first) context.moveTo(at, level);
    else context.lineTo(at, level);
  }
  context.stroke();
}
