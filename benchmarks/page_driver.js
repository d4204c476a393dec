"use strict";
// Runs a job on the page's module under Node: the job as JSON on stdin, its answer as JSON on stdout. page_runs.py starts it.
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");

const COUNTS = 2000; // of a stepper's timer in a tick

// What the motor gets until the next tick: pulses of a bridge; or the sum of a stepper's steps over the timer's counts,
// and the speed of its ramp.
function driven(exports, drive, isStepper) {
  if (!isStepper) return Number.isNaN(drive) ? "open" : `${drive}`;
  return `${Number.isNaN(drive) ? "open" : Math.round(COUNTS * drive)} ${exports.bare_ramp_speed()}`;
}

const JOBS = {
  // The firmware alone: what every tick drives ("open" for nothing) and its duty, and every byte sent, as lines.
  firmware(simulation, { calls, keeps_lines: keepsLines }) {
    const exports = simulation.exports;
    const isStepper = simulation.contents.cart.drive === "stepper";
    const bytes = new Uint8Array(exports.memory.buffer, exports.bytes_at(), 4096);
    const digest = createHash("sha256");
    const lines = [];
    exports.bare_begin(1);
    for (const [what, ...given] of calls) {
      let line;
      if (what === "tick") {
        const drive = exports.bare_tick(...given);
        line = `${driven(exports, drive, isStepper)} ${exports.bare_duty_q15()}`;
      } else if (what === "feed") {
        const fed = Buffer.from(given[0], "hex");
        bytes.set(fed);
        exports.bare_feed(fed.length);
        continue;
      } else if (what === "take") {
        line = Buffer.from(bytes.slice(0, exports.bare_take())).toString("hex");
      } else {
        exports.bare_disturb(...given);
        continue;
      }
      digest.update(line + "\n");
      if (keepsLines) lines.push(line);
    }
    return { sha256: digest.digest("hex"), lines };
  },

  // The plant alone: the state after each duty, or a stepper's count; null where nothing is driven.
  plant(simulation, { start, duties }) {
    const exports = simulation.exports;
    exports.plant_place(...start);
    return duties.map((duty) => {
      const at = exports.plant_step_under(duty ?? 0, duty === null ? 1 : 0);
      return [...new Float64Array(exports.memory.buffer, at, 4)];
    });
  },

  // A controller alone: its duty for each observation of an episode.
  answers(simulation, { controller, observations }) {
    simulation.setController(controller);
    simulation.exports.controllers_restart();
    return observations.map((seen) => simulation.exports.controllers_answer(...seen));
  },

  // Steps of a visit: a method's name and its arguments; "wait" until snapshot() and host() have those values, for at
  // most so many milliseconds; "see" takes both down.
  visit(simulation, { steps }) {
    const seen = [];
    const halfOfTraffic = (half) => (simulation.exports.traffic_half(half) >>> 0).toString(16).padStart(8, "0");
    const now = () => ({ ...simulation.host(), ...simulation.snapshot() });
    for (const [what, ...given] of steps) {
      if (what === "see") seen.push(now());
      else if (what === "traffic") seen.push([1, 0].map(halfOfTraffic).join(""));
      else if (what === "wait") {
        const [wanted, most] = given;
        let ms = 0;
        const holds = (found) => Object.entries(wanted).every(([name, value]) => found[name] === value);
        while (ms < most && !holds(now())) ms += simulation.advance(1);
        seen.push({ ...now(), waited_ms: ms, is_so: holds(now()) });
      } else if (what === "history") {
        const series = Object.entries(simulation.history(...given));
        seen.push(Object.fromEntries(series.map(([name, numbers]) => [name, [...numbers]])));
      } else simulation[what](...given);
    }
    return seen;
  },

  // How long this takes, in seconds, `times` times.
  speed(simulation, { steps, ms, times }) {
    JOBS.visit(simulation, { steps });
    return Array.from({ length: times }, () => {
      const begin = process.hrtime.bigint();
      simulation.advance(ms);
      return Number(process.hrtime.bigint() - begin) / 1e9;
    });
  },
};

async function main() {
  const { script, module: path, contents, job, given } = JSON.parse(readFileSync(0, "utf8"));
  const { CartSimulation } = require(script);
  const simulation = await CartSimulation.create(readFileSync(path), contents);
  process.stdout.write(JSON.stringify(JOBS[job](simulation, given)));
}

main().catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
