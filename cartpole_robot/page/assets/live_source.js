// Frames of a running cart, as the views want them: the newest snapshot, and columns for the curves.

const KEPT = 1600; // rows: ten seconds at one each 10 ms, and some

// The order of a row in a frame; the server writes the same (cartpole_robot/page/live/frames.py).
export const ROW = [
  "time_s", "position_m", "speed_m_s", "angle_rad", "rate_rad_s", "requested_duty", "applied_duty", "supply_v",
  "lateness_us", "state", "fault", "driver",
];

const FAULT = ROW.indexOf("fault");

export class LiveSource {
  // `contents` has states and fault_names, which name what a row has as numbers, drivers, and the remedy sent_stop.
  constructor(contents) {
    this.contents = contents;
    this.rows = [];
    this.stops = 0; // e-stops that browsers had sent when the cart was last stopped
    this.isStopSent = false; // by a browser, rather than pressed at the cart
  }

  // A row that is older than the newest begins another run, or follows a reload: what was before is dropped.
  take(frame) {
    for (const row of frame.rows) {
      const newest = this.rows[this.rows.length - 1];
      if (newest && row[0] < newest[0]) this.rows.length = 0;
      if (this.isStopped(row) && !(newest && this.isStopped(newest))) {
        this.isStopSent = frame.stops > this.stops;
        this.stops = frame.stops;
      }
      this.rows.push(row.map((value) => (value === null ? NaN : value)));
    }
    if (this.rows.length > KEPT) this.rows.splice(0, this.rows.length - KEPT);
  }

  isStopped(row) {
    return this.contents.fault_names[row[FAULT]] === "ESTOP";
  }

  // null before the first frame.
  snapshot() {
    const row = this.rows[this.rows.length - 1];
    if (!row) return null;
    const found = {};
    ROW.forEach((name, number) => (found[name] = row[number]));
    const { states, fault_names, drivers } = this.contents;
    found.state = states[found.state] || "BOOT";
    found.fault = fault_names[found.fault] || "NONE";
    if (found.fault === "ESTOP" && this.isStopSent) found.remedy = this.contents.sent_stop;
    found.controller = drivers[found.driver] || "";
    if (Number.isNaN(found.lateness_us)) found.lateness_us = null;
    return found;
  }

  // One Float64Array per column, of the last `seconds`.
  history(columns, seconds) {
    const { rows } = this;
    const newest_s = rows.length ? rows[rows.length - 1][0] : 0;
    let first = rows.length;
    while (first > 0 && rows[first - 1][0] >= newest_s - seconds) first--;
    const found = {};
    for (const name of columns) {
      const number = ROW.indexOf(name);
      found[name] = Float64Array.from({ length: rows.length - first }, (_, k) => rows[first + k][number]);
    }
    return found;
  }
}
