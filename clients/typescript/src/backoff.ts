import { setTimeout as sleep } from "node:timers/promises";

/** How long a server can tell a client to stay away. */
const LONGEST_HINT_MS = 60_000;

/**
 * Spreads repeated tries: full jitter below a ceiling that doubles with each try, so that
 * many clients that lost one server do not come back in step.
 */
export interface Backoff {
  readonly firstMs: number;
  readonly mostMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 200, mostMs: 10_000 };

/** Gives the wait after so many failures in a row, and not before the server's own hint. */
export function delayMs(backoff: Backoff, failures: number, hintMs = 0): number {
  const ceiling = Math.min(backoff.mostMs, backoff.firstMs * 2 ** Math.max(failures - 1, 0));
  return Math.min(hintMs, LONGEST_HINT_MS) + Math.random() * ceiling;
}

/** Waits, or throws the signal's reason as soon as it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  }
}
