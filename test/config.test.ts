import { describe, expect, it } from 'vitest';
import { BadSetting, cliConfig, readConfig } from '../src/config.ts';

const complaint = (env: Record<string, string>): string => {
  try {
    readConfig(env);
    return 'none';
  } catch (error) {
    return error instanceof BadSetting ? error.message : String(error);
  }
};

describe('the settings', () => {
  it('have a safe default each', () => {
    expect(readConfig({})).toEqual({
      port: 7070,
      host: '127.0.0.1',
      dataDir: './data',
      databaseUrl: null,
      adminToken: null,
      publicEvaluation: false,
      trustedProxies: [],
      allowedOrigins: [],
      regionHeader: null,
      regions: [],
      logLevel: 'info',
    });
  });

  it('are all read', () => {
    const env = {
      TIDEGATE_PORT: '8080',
      TIDEGATE_HOST: '::',
      TIDEGATE_DATA_DIR: '/var/lib/tidegate',
      TIDEGATE_DATABASE_URL: 'postgres://db/tidegate',
      TIDEGATE_ADMIN_TOKEN: 'x'.repeat(24),
      TIDEGATE_PUBLIC_EVALUATION: 'true',
      TIDEGATE_TRUSTED_PROXIES: '10.0.0.0/8, ::1,192.0.2.1',
      TIDEGATE_ALLOWED_ORIGINS: 'https://shop.example,http://localhost:3000',
      TIDEGATE_REGION_HEADER: 'CF-IPCountry',
      TIDEGATE_REGIONS: 'eu-west, us-east',
      TIDEGATE_LOG_LEVEL: 'debug',
    };
    expect(readConfig(env)).toEqual({
      port: 8080,
      host: '::',
      dataDir: '/var/lib/tidegate',
      databaseUrl: 'postgres://db/tidegate',
      adminToken: 'x'.repeat(24),
      publicEvaluation: true,
      trustedProxies: ['10.0.0.0/8', '::1', '192.0.2.1'],
      allowedOrigins: ['https://shop.example', 'http://localhost:3000'],
      regionHeader: 'cf-ipcountry',
      regions: ['eu-west', 'us-east'],
      logLevel: 'debug',
    });
  });

  it('that are empty count as unset', () => {
    const names = ['PORT', 'HOST', 'DATA_DIR', 'DATABASE_URL', 'ADMIN_TOKEN', 'PUBLIC_EVALUATION', 'REGION_HEADER'];
    expect(readConfig(Object.fromEntries(names.map((name) => [`TIDEGATE_${name}`, ''])))).toEqual(readConfig({}));
  });

  it.each([
    ['TIDEGATE_PORT', 'http'],
    ['TIDEGATE_PORT', '70000'],
    ['TIDEGATE_PORT', '80.5'],
    ['TIDEGATE_DATABASE_URL', 'mysql://db'],
    ['TIDEGATE_ADMIN_TOKEN', 'short'],
    ['TIDEGATE_ADMIN_TOKEN', 'with a space in its twenty-four'],
    ['TIDEGATE_PUBLIC_EVALUATION', 'perhaps'],
    ['TIDEGATE_TRUSTED_PROXIES', 'proxy.internal'],
    ['TIDEGATE_TRUSTED_PROXIES', '10.0.0.0/33'],
    ['TIDEGATE_TRUSTED_PROXIES', '10.0.0.0/'],
    ['TIDEGATE_ALLOWED_ORIGINS', 'shop.example'],
    ['TIDEGATE_ALLOWED_ORIGINS', 'https://shop.example/'],
    ['TIDEGATE_REGION_HEADER', 'x region'],
    ['TIDEGATE_REGIONS', '1,2,3,4,5,6,7,8,9'],
    ['TIDEGATE_LOG_LEVEL', 'loud'],
  ])('name themselves when they are bad: %s=%s', (name, value) => {
    expect(complaint({ [name]: value })).toMatch(new RegExp(`^${name}: .+`));
  });

  it('complain together, a line each, without repeating a secret', () => {
    const text = complaint({ TIDEGATE_PORT: 'x', TIDEGATE_ADMIN_TOKEN: 'hunter2' });
    expect(text.split('\n')).toHaveLength(2);
    expect(text).not.toContain('hunter2');
  });
});

describe('the command line', () => {
  it('finds its controller and its token in the environment', () => {
    expect(cliConfig({})).toEqual({ url: 'http://127.0.0.1:7070', token: null, tokenFile: null });
    expect(cliConfig({ TIDEGATE_URL: 'https://t.example//', TIDEGATE_TOKEN: 'a', TIDEGATE_TOKEN_FILE: '/f' })).toEqual({
      url: 'https://t.example',
      token: 'a',
      tokenFile: '/f',
    });
  });
});
