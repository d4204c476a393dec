// Animates the report's cart-poles, and fits its figures to the paper. Plotly and the data are in the page.
"use strict";
(function () {
  const frames = JSON.parse(document.getElementById("frames").textContent);
  const drawing = document.getElementById("cart-pole");
  const curves = document.getElementById("trajectories");
  const scrubber = document.getElementById("scrubber");
  const play = document.getElementById("play");
  const speed = document.getElementById("speed");
  const last = frames.time_s.length - 1;
  let shown = -1;
  let marking = null; // the timeout that moves the line in the curves
  let running = null; // {from: time of the recording, since: time of the page}, while it plays

  function cart(x) {
    const [width, height] = frames.cart_m;
    const left = x - width / 2, right = x + width / 2;
    return [[left, right, right, left, left], [0, 0, height, height, 0]];
  }

  // An angle of 0 is upright, and a positive one leans to the right.
  function pole(x, angle) {
    const height = frames.cart_m[1];
    return [
      [x, x + frames.length_m * Math.sin(angle)],
      [height, height + frames.length_m * Math.cos(angle)],
    ];
  }

  function put(name, value, digits) {
    document.getElementById(name).textContent = value === null ? "–" : value.toFixed(digits).replace("-", "−");
  }

  function show(k) {
    if (k === shown) return;
    shown = k;
    const [x, angle] = frames.recorded.map((column) => column[k]);
    const [simulatedX, simulatedAngle] = frames.simulated.map((column) => column[k]);
    const runs = simulatedX !== null;
    const lines = [cart(x), pole(x, angle)];
    if (runs) lines.push(cart(simulatedX), pole(simulatedX, simulatedAngle));
    else lines.push([[null], [null]], [[null], [null]]);
    Plotly.restyle(drawing, { x: lines.map((line) => line[0]), y: lines.map((line) => line[1]) }, [0, 1, 2, 3]);
    scrubber.value = k;
    scrubber.setAttribute("aria-valuetext", frames.time_s[k].toFixed(2) + " s");
    put("time", frames.time_s[k], 2);
    put("since", frames.since_s[k], 2);
    put("recorded-position", 1000 * x, 1);
    put("recorded-angle", 1000 * angle, 0);
    put("simulated-position", runs ? 1000 * simulatedX : null, 1);
    put("simulated-angle", runs ? 1000 * simulatedAngle : null, 0);
    put("position-error", runs ? 1000 * (simulatedX - x) : null, 1);
    put("angle-error", runs ? 1000 * (simulatedAngle - angle) : null, 0);
    if (marking === null) marking = setTimeout(mark, 120);
  }

  // The line in the curves is slower to move than the carts: it follows a few times a second.
  function mark() {
    marking = null;
    const time = frames.time_s[shown];
    const changes = { "shapes[0].x0": time, "shapes[0].x1": time };
    const [low, high] = curves.layout.xaxis.range;
    if (time < low || time > high) {
      const begin = Math.max(0, time - 0.1 * (high - low));
      for (const axis of ["xaxis", "xaxis2", "xaxis3"]) changes[axis + ".range"] = [begin, begin + high - low];
    }
    Plotly.relayout(curves, changes);
  }

  // The last frame that is not after `time`.
  function frameAt(time) {
    let low = 0, high = last;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (frames.time_s[middle] <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function stop() {
    running = null;
    play.textContent = "▶ Play";
  }

  function start() {
    const from = shown >= last ? 0 : shown;
    running = { from: frames.time_s[from], since: performance.now() };
    play.textContent = "❚❚ Pause";
    requestAnimationFrame(step);
  }

  function step(now) {
    if (running === null) return;
    const time = running.from + (Math.max(0, now - running.since) / 1000) * Number(speed.value);
    show(frameAt(time));
    if (time >= frames.time_s[last]) stop();
    else requestAnimationFrame(step);
  }

  play.addEventListener("click", () => (running === null ? start() : stop()));
  scrubber.addEventListener("input", () => {
    stop();
    show(Number(scrubber.value));
  });
  speed.addEventListener("change", () => {
    if (running !== null) running = { from: frames.time_s[shown], since: performance.now() };
  });
  curves.on("plotly_click", (event) => {
    stop();
    show(frameAt(event.points[0].x));
  });
  show(frames.first);

  // Paper is not as wide as the window.
  function fit(width) {
    for (const figure of document.querySelectorAll(".js-plotly-plot")) {
      const half = figure.closest(".side-by-side") !== null;
      Plotly.relayout(figure, width === null ? { autosize: true, width: null } : { width: half ? width / 2 - 8 : width });
    }
  }
  window.addEventListener("beforeprint", () => fit(680));
  window.addEventListener("afterprint", () => fit(null));
})();
