// The last ten seconds as curves, one panel above the other.

import { coloursOf, fitted } from "./canvas.js";
import { wrapped } from "./angles.js";

const LEFT = 54;
const RIGHT = 14;
const GAP = 14;

export const CURVES_S = 10;

export class Curves {
  // `panels` are [{title, unit, factor, least, steps, isPositive, wraps, lines: [{column, colour, label}]}]: a value times `factor` is
  // in `unit`; the axis reaches to the first of `steps` that is enough, or a round number, at least to `least`, and to
  // both sides unless `isPositive`; `wraps` is for angles.
  constructor(canvas, panels) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.panels = panels;
    this.columns = ["time_s", ...new Set(panels.flatMap((panel) => panel.lines.map((line) => line.column)))];
    this.reach = panels.map((panel) => panel.least);
    this.readColours();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  readColours() {
    this.colours = coloursOf(this.canvas, ["ink", "faint", "line", "accent", "warm", "good", "bad"]);
    this.font = getComputedStyle(this.canvas).fontFamily;
  }

  resize() {
    [this.width, this.height] = fitted(this.canvas, this.context);
    if (this.history) this.draw(this.history, this.now_s);
  }

  // `history` has one array per column; `now_s` is the right edge.
  draw(history, now_s) {
    this.history = history;
    this.now_s = now_s;
    this.context.clearRect(0, 0, this.width, this.height);
    const each = (this.height - 20) / this.panels.length;
    this.panels.forEach((panel, number) => this.drawPanel(panel, number, number * each + 20, each - GAP - 14));
    this.drawTimes();
  }

  drawPanel(panel, number, top, height) {
    const { context, colours } = this;
    const reach = this.reachOf(panel, number);
    const low = panel.isPositive ? 0 : -reach;
    const yOf = (value) => top + (height * (reach - value)) / (reach - low);
    context.font = `12px ${this.font}`;
    context.textAlign = "left";
    context.fillStyle = colours.ink;
    context.fillText(panel.title, LEFT, top - 6);
    let x = this.width - RIGHT;
    context.textAlign = "right";
    for (const line of [...panel.lines].reverse()) {
      if (!line.label) continue;
      context.fillStyle = colours[line.colour];
      context.fillText(line.label, x, top - 6);
      x -= context.measureText(line.label).width + 14;
    }
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.fillStyle = colours.faint;
    context.font = `11px ${this.font}`;
    for (const value of panel.isPositive ? [0, reach] : [-reach, 0, reach]) {
      const y = Math.round(yOf(value)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.width - RIGHT, y);
      context.stroke();
      context.fillText(`${shortNumber(value)}${value === reach ? ` ${panel.unit}` : ""}`, LEFT - 6, y + 4);
    }
    context.save();
    context.beginPath();
    context.rect(LEFT, top - 2, this.width - LEFT - RIGHT, height + 4);
    context.clip();
    for (const line of panel.lines) this.drawLine(line, panel, yOf);
    context.restore();
  }

  drawLine(line, { factor, wraps }, yOf) {
    const { context, history } = this;
    const times = history.time_s;
    const values = history[line.column];
    const perSecond = (this.width - LEFT - RIGHT) / CURVES_S;
    const edge = this.width - RIGHT;
    context.strokeStyle = this.colours[line.colour];
    context.lineWidth = line.isThin ? 1.25 : 2;
    context.lineJoin = "bevel"; // round joins take a software renderer several times as long
    context.beginPath();
    let isDown = false;
    let before = 0;
    for (let k = 0; k < times.length; k++) {
      const value = wraps ? wrapped(values[k]) : values[k];
      if (!Number.isFinite(value)) {
        isDown = false;
        continue;
      }
      if (wraps && Math.abs(value - before) > Math.PI) isDown = false;
      before = value;
      const x = edge + perSecond * (times[k] - this.now_s);
      if (isDown) context.lineTo(x, yOf(factor * value));
      else context.moveTo(x, yOf(factor * value));
      isDown = true;
    }
    context.stroke();
  }

  // The axis grows at once and shrinks to round numbers when what made it grow has left the picture.
  reachOf(panel, number) {
    let most = panel.least;
    for (const line of panel.lines) {
      const values = this.history[line.column];
      for (let k = 0; k < values.length; k++) {
        const shown = panel.wraps ? wrapped(values[k]) : values[k];
        const value = panel.factor * (panel.isPositive ? shown : Math.abs(shown));
        if (value > most) most = value;
      }
    }
    this.reach[number] = (panel.steps || []).find((step) => step >= most) || roundUp(most);
    return this.reach[number];
  }

  drawTimes() {
    const { context, colours } = this;
    context.font = `11px ${this.font}`;
    context.fillStyle = colours.faint;
    context.textAlign = "center";
    const perSecond = (this.width - LEFT - RIGHT) / CURVES_S;
    for (let s = 0; s <= CURVES_S; s += 2) {
      const text = s === 0 ? "now" : `−${s} s`;
      context.textAlign = s === 0 ? "right" : "center";
      context.fillText(text, this.width - RIGHT - perSecond * s, this.height - 2);
    }
  }
}

function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 5, 7.5, 10].find((step) => step * power >= value);
}

function shortNumber(value) {
  return `${value < 0 ? "−" : ""}${Number(Math.abs(value).toPrecision(2))}`;
}
