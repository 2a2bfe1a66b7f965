export interface Undo {
  /** What takes back the step that was just done. */
  add(step: () => unknown): void;
  /**
   * Takes every step back, newest first. One that fails does not spare the others; the first error is thrown at the
   * end. A second call does nothing.
   */
  run(): Promise<void>;
}

/** Remembers how to undo what has been started, so that stopping and failing half-way leave the same: nothing. */
export function createUndo(): Undo {
  const steps: (() => unknown)[] = [];
  return {
    add: (step) => {
      steps.push(step);
    },
    async run() {
      const errors: unknown[] = [];
      for (const step of steps.splice(0).reverse()) {
        try {
          await step();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) throw errors[0];
    },
  };
}
