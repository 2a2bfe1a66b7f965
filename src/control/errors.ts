/** The thing that was named does not exist. */
export class NotFound extends Error {
  override name = 'NotFound';
}

/** A rule says no; `code` is stable and for machines (`latched`, `frozen`, `hold_first`, ...). */
export class Refused extends Error {
  override name = 'Refused';
  readonly code: string;
  readonly waitingFor: readonly { readonly text: string }[];
  constructor(code: string, message: string, waitingFor: readonly { readonly text: string }[] = []) {
    super(message);
    this.code = code;
    this.waitingFor = waitingFor;
  }
}

/** What was sent does not make sense; every problem names its place. */
export class Invalid extends Error {
  override name = 'Invalid';
  readonly problems: readonly { readonly path: string; readonly message: string }[];
  constructor(message: string, problems: readonly { readonly path: string; readonly message: string }[] = []) {
    super(message);
    this.problems = problems;
  }
}
