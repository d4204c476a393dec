// The cart on its track, drawn on a canvas. World coordinates: metres from the middle of the track, radians from upright.

import { coloursOf, fitted } from "./canvas.js";
import { circle, roundRect, tickStep } from "./shapes.js";

const TRAIL_S = 0.7;
const GRAB_PX = 26; // a finger is wider than a pole
const ASTRAY_M = 0.005; // a cart that is so far from where its firmware counts it is shown there too

export class CartView {
  // `drawing` has pole_length_m, travel_limit_m, switch_m and pole_limit_rad.
  constructor(canvas, drawing) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.drawing = drawing;
    this.hasTrail = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.trail = [];
    this.flash = null;
    this.snapshot = null;
    this.readColours();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  readColours() {
    this.colours = coloursOf(this.canvas, ["ink", "faint", "line", "accent", "warm", "good", "bad", "card", "metal", "metal-dark"]);
    this.font = getComputedStyle(this.canvas).fontFamily;
  }

  resize() {
    [this.width, this.height] = fitted(this.canvas, this.context);
    const { switch_m, pole_length_m } = this.drawing;
    this.scale = Math.min((this.width - 72) / (2 * switch_m), (this.height - 40) / (2.04 * pole_length_m));
    this.cartWidth = Math.max(52, Math.min(104, 0.15 * this.scale));
    this.cartHeight = 0.42 * this.cartWidth;
    this.middleX = this.width / 2;
    this.hingeY = this.height / 2 - 6;
    this.railY = this.hingeY + 0.86 * this.cartHeight;
    if (this.snapshot) this.draw(this.snapshot, this.hand);
  }

  xOf(position_m) {
    return this.middleX + this.scale * position_m;
  }

  positionAt(x) {
    return (x - this.middleX) / this.scale;
  }

  tipOf(snapshot) {
    const length = this.scale * this.drawing.pole_length_m;
    const x = this.xOf(snapshot.position_m);
    return [x + length * Math.sin(snapshot.angle_rad), this.hingeY - length * Math.cos(snapshot.angle_rad)];
  }

  // The pole's direction toward a point of the canvas, in (-pi, pi].
  angleAt(x, y) {
    return Math.atan2(x - this.xOf(this.snapshot.position_m), this.hingeY - y);
  }

  // "pole", "cart" or null: what a finger at that point takes.
  partAt(x, y) {
    if (!this.snapshot) return null;
    const cartX = this.xOf(this.snapshot.position_m);
    const [tipX, tipY] = this.tipOf(this.snapshot);
    const [dx, dy] = [tipX - cartX, tipY - this.hingeY];
    const along = ((x - cartX) * dx + (y - this.hingeY) * dy) / (dx * dx + dy * dy);
    const nearest = Math.max(0, Math.min(1.05, along));
    const away = Math.hypot(x - cartX - nearest * dx, y - this.hingeY - nearest * dy);
    const isOnCart =
      Math.abs(x - cartX) < this.cartWidth / 2 + 12 && Math.abs(y - this.hingeY) < this.cartHeight / 2 + 18;
    if (along > 0.2 && away < GRAB_PX) return "pole";
    return isOnCart ? "cart" : null;
  }

  // A push is shown for a moment: `direction` is -1 or 1.
  showPush(part, direction) {
    this.flash = { part, direction, until: performance.now() + 350 };
  }

  // `hand` is null, or {part, x, y}: what the visitor holds, and where the pointer is.
  draw(snapshot, hand = null) {
    this.snapshot = snapshot;
    this.hand = hand;
    const { context } = this;
    context.clearRect(0, 0, this.width, this.height);
    this.drawLimits(snapshot);
    this.drawTrack(snapshot);
    this.drawTrail(snapshot);
    this.drawDuty(snapshot);
    if (Math.abs(snapshot.lost_m) > ASTRAY_M) this.drawCounted(snapshot);
    this.drawCart(snapshot);
    this.drawPole(snapshot);
    if (this.flash && performance.now() < this.flash.until) this.drawPush(snapshot);
    if (hand) this.drawHand(snapshot, hand);
  }

  drawLimits(snapshot) {
    const { context, colours, drawing } = this;
    const x = this.xOf(snapshot.position_m);
    const radius = 0.98 * this.scale * drawing.pole_length_m;
    context.globalAlpha = 0.09;
    context.fillStyle = snapshot.state === "FAULT" ? colours.bad : colours.good;
    context.beginPath();
    context.moveTo(x, this.hingeY);
    context.arc(x, this.hingeY, radius, -Math.PI / 2 - drawing.pole_limit_rad, -Math.PI / 2 + drawing.pole_limit_rad);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colours.warm;
    context.setLineDash([5, 5]);
    context.lineWidth = 1.5;
    for (const side of [-1, 1]) {
      const limitX = this.xOf(side * drawing.travel_limit_m);
      context.beginPath();
      context.moveTo(limitX, this.railY - 1.5 * this.cartHeight);
      context.lineTo(limitX, this.railY + 14);
      context.stroke();
    }
    context.setLineDash([]);
  }

  drawTrack(snapshot) {
    const { context, colours, drawing, railY } = this;
    const [left, right] = [this.xOf(-drawing.switch_m), this.xOf(drawing.switch_m)];
    const half = this.cartWidth / 2;
    const rail = context.createLinearGradient(0, railY, 0, railY + 9);
    rail.addColorStop(0, colours.metal);
    rail.addColorStop(1, colours["metal-dark"]);
    context.fillStyle = rail;
    roundRect(context, left - half - 6, railY, right - left + 2 * half + 12, 9, 4);
    context.fill();
    for (const side of [-1, 1]) {
      const isClosed = side * snapshot.position_m >= drawing.switch_m;
      context.fillStyle = isClosed ? colours.bad : colours["metal-dark"];
      const x = side < 0 ? left - half - 8 : right + half - 2;
      roundRect(context, x, railY - 20, 10, 30, 3);
      context.fill();
    }
    context.fillStyle = colours.faint;
    context.strokeStyle = colours.faint;
    context.font = `11px ${this.font}`;
    context.textAlign = "center";
    context.lineWidth = 1;
    const step = tickStep(drawing.switch_m, this.scale);
    for (let k = -Math.floor(drawing.switch_m / step); k <= drawing.switch_m / step; k++) {
      const x = this.xOf(k * step);
      context.beginPath();
      context.moveTo(x, railY + 13);
      context.lineTo(x, railY + (k === 0 ? 22 : 18));
      context.stroke();
      context.fillText(`${k < 0 ? "−" : ""}${Math.round(Math.abs(100 * k * step))}`, x, railY + 33);
    }
    context.textAlign = "left";
    context.fillText("cm", this.xOf(drawing.switch_m) + half - 2, railY + 33);
  }

  drawTrail(snapshot) {
    if (!this.hasTrail) return;
    const { context, colours, trail } = this;
    const newest = trail.length ? trail[trail.length - 1] : null;
    if (newest && snapshot.time_s < newest.time_s) trail.length = 0;
    if (!newest || snapshot.time_s > newest.time_s) {
      trail.push({ time_s: snapshot.time_s, position_m: snapshot.position_m, angle_rad: snapshot.angle_rad });
    }
    while (trail.length && trail[0].time_s < snapshot.time_s - TRAIL_S) trail.shift();
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.lineCap = "round";
    for (let k = 1; k < trail.length; k++) {
      context.globalAlpha = 0.45 * (1 - (snapshot.time_s - trail[k].time_s) / TRAIL_S);
      context.beginPath();
      context.moveTo(...this.tipOf(trail[k - 1]));
      context.lineTo(...this.tipOf(trail[k]));
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  drawDuty(snapshot) {
    const { context, colours } = this;
    const duty = snapshot.applied_duty || 0;
    if (Math.abs(duty) < 0.005) return;
    const x = this.xOf(snapshot.position_m);
    const y = this.railY + 48;
    const side = Math.sign(duty);
    const length = 12 + 0.9 * this.cartWidth * Math.min(1, Math.abs(duty));
    context.strokeStyle = context.fillStyle = colours.accent;
    context.lineWidth = 6;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + side * (length - 8), y);
    context.stroke();
    context.beginPath();
    context.moveTo(x + side * (length + 6), y);
    context.lineTo(x + side * (length - 9), y - 9);
    context.lineTo(x + side * (length - 9), y + 9);
    context.closePath();
    context.fill();
  }

  // Where a stepper that has lost steps is taken to have the cart.
  drawCounted(snapshot) {
    const { context, colours, cartWidth, cartHeight } = this;
    const x = this.xOf(snapshot.position_m - snapshot.lost_m);
    const top = this.hingeY - 0.14 * cartHeight;
    context.strokeStyle = context.fillStyle = colours.warm;
    context.lineWidth = 1.5;
    context.setLineDash([4, 4]);
    roundRect(context, x - cartWidth / 2, top, cartWidth, 0.72 * cartHeight, 7);
    context.stroke();
    context.setLineDash([]);
    context.font = `11px ${this.font}`;
    context.textAlign = "center";
    context.fillText("counted here", x, top - 6);
  }

  drawCart(snapshot) {
    const { context, colours, cartWidth, cartHeight } = this;
    const x = this.xOf(snapshot.position_m);
    const top = this.hingeY - 0.14 * cartHeight;
    context.globalAlpha = 0.16;
    context.fillStyle = "#000";
    context.beginPath();
    context.ellipse(x, this.railY + 3, 0.55 * cartWidth, 5, 0, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
    const radius = 0.2 * cartHeight;
    for (const side of [-1, 1]) {
      const wheelX = x + side * 0.3 * cartWidth;
      context.fillStyle = colours["metal-dark"];
      circle(context, wheelX, this.railY - radius, radius);
      context.fillStyle = colours.metal;
      circle(context, wheelX, this.railY - radius, 0.45 * radius);
    }
    const body = context.createLinearGradient(0, top, 0, top + 0.72 * cartHeight);
    body.addColorStop(0, colours.metal);
    body.addColorStop(1, colours["metal-dark"]);
    context.fillStyle = body;
    roundRect(context, x - cartWidth / 2, top, cartWidth, 0.72 * cartHeight, 7);
    context.fill();
    context.fillStyle = colours[stateColour(snapshot.state)];
    roundRect(context, x - 0.36 * cartWidth, top + 0.48 * cartHeight, 0.72 * cartWidth, 4, 2);
    context.fill();
  }

  drawPole(snapshot) {
    const { context, colours } = this;
    const x = this.xOf(snapshot.position_m);
    const [tipX, tipY] = this.tipOf(snapshot);
    const colour = colours[stateColour(snapshot.state)];
    context.strokeStyle = colour;
    context.lineCap = "round";
    context.lineWidth = Math.max(7, 0.11 * this.cartWidth);
    context.beginPath();
    context.moveTo(x, this.hingeY);
    context.lineTo(tipX, tipY);
    context.stroke();
    context.globalAlpha = 0.35;
    context.strokeStyle = "#fff";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x - 1.5, this.hingeY);
    context.lineTo(tipX - 1.5, tipY);
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = colour;
    circle(context, tipX, tipY, Math.max(8, 0.12 * this.cartWidth));
    context.fillStyle = colours.card;
    circle(context, x, this.hingeY, 0.11 * this.cartWidth);
    context.fillStyle = colours.ink;
    circle(context, x, this.hingeY, 0.055 * this.cartWidth);
  }

  drawPush(snapshot) {
    const { context, colours, flash } = this;
    const [tipX, tipY] = flash.part === "pole" ? this.tipOf(snapshot) : [this.xOf(snapshot.position_m), this.hingeY];
    const away = flash.part === "pole" ? 16 : this.cartWidth / 2 + 8;
    const from = tipX - flash.direction * (away + 44);
    const to = tipX - flash.direction * away;
    context.strokeStyle = context.fillStyle = colours.warm;
    context.lineWidth = 7;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from, tipY);
    context.lineTo(to - flash.direction * 10, tipY);
    context.stroke();
    context.beginPath();
    context.moveTo(to, tipY);
    context.lineTo(to - flash.direction * 14, tipY - 10);
    context.lineTo(to - flash.direction * 14, tipY + 10);
    context.closePath();
    context.fill();
  }

  drawHand(snapshot, hand) {
    const { context, colours } = this;
    const [fromX, fromY] = hand.part === "pole" ? this.tipOf(snapshot) : [this.xOf(snapshot.position_m), this.hingeY];
    const length = Math.hypot(hand.x - fromX, hand.y - fromY);
    const [alongX, alongY] = length ? [(hand.x - fromX) / length, (hand.y - fromY) / length] : [0, 0];
    const coils = 9;
    context.strokeStyle = colours.warm;
    context.lineWidth = 2.5;
    context.lineJoin = "round";
    context.beginPath();
    context.moveTo(fromX, fromY);
    for (let k = 1; k < coils; k++) {
      const side = (k % 2 ? 1 : -1) * 5;
      const share = (k / coils) * length;
      context.lineTo(fromX + share * alongX - side * alongY, fromY + share * alongY + side * alongX);
    }
    context.lineTo(hand.x, hand.y);
    context.stroke();
    context.fillStyle = colours.warm;
    circle(context, hand.x, hand.y, 9);
  }
}

export function stateColour(state) {
  return { ARMED: "good", FAULT: "bad", HOMING: "warm", READY: "accent" }[state] || "faint";
}
