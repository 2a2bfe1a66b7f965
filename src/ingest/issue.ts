import { evidenceArm } from '../domain/evidence.ts';
import type { SigningKey } from '../store/store.ts';
import type { Ingest } from './flush.ts';
import { createTokens, type Minted, type MintRequest, type Tokens } from './token.ts';

/** The tokens of this process, through a change of keys, and the counting of whom they were given to. */
export interface Issuer {
  readonly tokens: Tokens;
  mint(request: MintRequest): string | null;
  /** Counts the units of an answer that `mint` made a token for. */
  issued(request: MintRequest): void;
  load(keys: readonly SigningKey[]): void;
  /** Where issues are counted. */
  to(ingest: Pick<Ingest, 'issued'>): void;
}

export function createIssuer(): Issuer {
  let current = createTokens({ keys: [] });
  let counter: Pick<Ingest, 'issued'> = { issued: () => {} };
  // What was minted for a request that is still being answered, so that its units are not hashed twice.
  const minted = new WeakMap<MintRequest, Minted>();

  return {
    tokens: {
      mint: (request) => current.mint(request),
      verify: (token, at, beganAt) => current.verify(token, at, beganAt),
      storedUnit: (rollout, unit) => current.storedUnit(rollout, unit),
    },
    mint(request) {
      const made = current.mint(request);
      if (made === null) return null;
      minted.set(request, made);
      return made.token;
    },
    issued(request) {
      const units = (minted.get(request) ?? current.mint(request))?.units ?? [];
      for (const [index, { rollout, epoch, arm }] of request.entries.entries()) {
        const unit = units[index];
        const counted = evidenceArm[arm];
        if (unit !== undefined && counted !== null) counter.issued(rollout, epoch, counted, unit, request.at);
      }
    },
    load(keys) {
      current = createTokens({ keys });
    },
    to(ingest) {
      counter = ingest;
    },
  };
}
