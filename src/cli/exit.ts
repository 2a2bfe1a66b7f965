/** Exit codes, the same for every command; scripts rely on them. */
export const exit = {
  ok: 0,
  internal: 1,
  changes: 2,
  /** What was verified turned out otherwise: `simulate`. */
  unexpected: 3,
  invalid: 4,
  held: 10,
  killed: 11,
  inconclusive: 12,
  awaitingApproval: 13,
  refused: 20,
  conflict: 21,
  unreachable: 30,
  usage: 64,
  /** As in sysexits.h: what the controller needs (data, port, database) is not there for it. */
  unusable: 78,
} as const;

/** Ends a command with a code; the message, when there is one, goes to stderr. */
export class Exit extends Error {
  override name = 'Exit';
  readonly code: number;
  /** HTTP status of the answer behind it; null when there was none. */
  readonly status: number | null;

  constructor(code: number, message = '', status: number | null = null) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
