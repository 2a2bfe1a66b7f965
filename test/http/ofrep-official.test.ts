import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { describe, expect, it } from 'vitest';
import { aLatch, aRunning, aServed, plainFlag } from '../serve/a-served.ts';
import { aServer } from './a-server.ts';

const open = plainFlag({
  variants: { en: 'Hello', de: 'Hallo' },
  defaultVariant: 'en',
  metadata: { clientVisible: true },
});
const running = (stage: number) => aServed({ flags: { open }, rollouts: [aRunning({ state: { stage } })] });

const providerOf = (baseUrl: string, key = 'client') =>
  new OFREPWebProvider({
    baseUrl,
    headers: [['X-API-Key', key]],
    cacheMode: 'disabled',
    changeDetection: 'none',
  });

describe('the official OFREP web provider', () => {
  it('reads values, variants, reasons and cohorts', async () => {
    await using server = await aServer({ mintToken: () => 'tg1.payload.mac' });
    server.show(running(4));
    const provider = providerOf(server.base);
    await provider.initialize({ targetingKey: 'u1' });
    expect(provider.resolveBooleanEvaluation('new-checkout', false, {})).toMatchObject({
      value: true,
      variant: 'on',
      reason: 'SPLIT',
      flagMetadata: { cohort: 'treatment', 'tidegate.x': 0, exposurePpm: 1_000_000 },
    });
    expect(provider.resolveStringEvaluation('open', '', {})).toMatchObject({ value: 'Hello', reason: 'STATIC' });
    await provider.onClose?.();
  });

  it('sees a kill on its next question, under the same ETag never', async () => {
    await using server = await aServer();
    server.show(running(4));
    const provider = providerOf(server.base);
    await provider.initialize({ targetingKey: 'u1' });
    await provider.onContextChange?.({ targetingKey: 'u1' }, { targetingKey: 'u1' });
    expect(provider.resolveBooleanEvaluation('new-checkout', false, {}).value).toBe(true);
    server.show(aServed({ ver: 58, flags: { open }, rollouts: [aRunning()], latches: [aLatch()] }));
    await provider.onContextChange?.({ targetingKey: 'u1' }, { targetingKey: 'u1' });
    expect(provider.resolveBooleanEvaluation('new-checkout', true, {})).toMatchObject({
      value: false,
      reason: 'STATIC',
    });
    await provider.onClose?.();
  });

  it('is refused for good with a key that is not known', async () => {
    await using server = await aServer();
    server.show(running(4));
    await expect(providerOf(server.base, 'wrong').initialize({})).rejects.toMatchObject({ code: 'PROVIDER_FATAL' });
  });
});
