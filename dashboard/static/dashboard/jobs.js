// Jobs: work that the server does after it has answered.

const [SHORTEST_MS, LONGEST_MS] = [1000, 10_000];

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * The job when it has ended or asks. read: gets it again; show: gets each state before.
 * It is polled each second at first, later after a tenth of the time so far, at most 10 s.
 */
export async function stoppedJob(job, read, show) {
  for (let now = job, waited = 0; ; now = await read()) {
    if (!["queued", "running"].includes(now.state)) return now;
    show(now);
    const wait = Math.min(Math.max(waited / 10, SHORTEST_MS), LONGEST_MS);
    waited += wait;
    await pause(wait);
  }
}
