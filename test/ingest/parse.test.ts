import { describe, expect, it } from 'vitest';
import { parseBeacon } from '../../src/ingest/parse.ts';

const beacon = {
  v: 1,
  id: 'q7Zk0c3mR1aTn9xE',
  q: 1,
  tok: 'tg1.a.b',
  x: [
    [0, 120],
    [3, 2210],
  ],
  nav: 'navigate',
  vis: 1,
  age: 5230,
  m: [
    ['LCP', 2112.7, 2113],
    ['conv:checkout', 1, 5000],
  ],
  end: 1,
};
const bytes = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const parse = (value: unknown, type: string | undefined = 'text/plain;charset=UTF-8') =>
  parseBeacon(bytes(value), type);

describe('parseBeacon', () => {
  it('reads the whole message', () => {
    expect(parse(beacon)).toEqual({ ok: true, beacon });
    expect(parse(beacon, 'application/json')).toEqual({ ok: true, beacon });
  });

  it('needs no exposures and no samples', () => {
    const { v, id, q, tok, age } = beacon;
    expect(parse({ v, id, q, tok, age })).toEqual({ ok: true, beacon: { v, id, q, tok, age, x: [], m: [] } });
  });

  it('drops what it does not know unread', () => {
    expect(parse({ ...beacon, url: 'https://shop.example/cart', user: { mail: 'a@b.c' } })).toEqual({
      ok: true,
      beacon,
    });
  });

  it('refuses other content types and bodies over 16 KiB', () => {
    expect(parse(beacon, 'application/x-www-form-urlencoded')).toMatchObject({ ok: false, why: 'type' });
    expect(parseBeacon(bytes(beacon), undefined)).toMatchObject({ ok: false, why: 'type' });
    expect(parse({ ...beacon, pad: 'x'.repeat(16_384) })).toMatchObject({ ok: false, why: 'size' });
  });

  it.each([
    ['nothing', ''],
    ['half a message', '{"v":1,'],
    ['a list', '[]'],
    ['null', 'null'],
    ['deep nesting', '['.repeat(16_000)],
    ['another version', { ...beacon, v: 2 }],
    ['a short id', { ...beacon, id: 'abc' }],
    ['an id with other characters', { ...beacon, id: 'q7Zk0c3mR1aTn9x/' }],
    ['a fifth message', { ...beacon, q: 4 }],
    ['half a message number', { ...beacon, q: 0.5 }],
    ['no token', { ...beacon, tok: undefined }],
    ['a token without end', { ...beacon, tok: 'x'.repeat(1025) }],
    ['a negative age', { ...beacon, age: -1 }],
    ['an infinite age', JSON.stringify(beacon).replace('5230', '1e999')],
    ['33 exposures', { ...beacon, x: Array.from({ length: 33 }, () => [0, 1]) }],
    ['an entry past the list', { ...beacon, x: [[32, 1]] }],
    ['an exposure before navigation start', { ...beacon, x: [[0, -1]] }],
    ['an exposure with a third value', { ...beacon, x: [[0, 1, 2]] }],
    ['51 samples', { ...beacon, m: Array.from({ length: 51 }, () => ['LCP', 1, 1]) }],
    ['a sample that is text', { ...beacon, m: [['LCP', '1', 1]] }],
    ['a long name', { ...beacon, m: [['x'.repeat(65), 1, 1]] }],
    ['samples that are an object', { ...beacon, m: { length: 0 } }],
    ['vis 2', { ...beacon, vis: 2 }],
    ['end 0', { ...beacon, end: 0 }],
  ])('refuses %s', (_, body) => {
    expect(parse(body)).toMatchObject({ ok: false, why: 'shape' });
  });

  it('refuses bytes that are no UTF-8', () => {
    expect(parseBeacon(Uint8Array.of(0x22, 0xff, 0x22), 'text/plain')).toMatchObject({
      ok: false,
      detail: 'not UTF-8',
    });
  });

  it('lets one broken value through as no number instead of losing the message', () => {
    const read = parse({ ...beacon, m: [['CLS', null, 5]] });
    expect(read).toMatchObject({ ok: true, beacon: { m: [['CLS', Number.NaN, 5]] } });
  });

  it('is not fooled by keys of Object.prototype', () => {
    const body = JSON.stringify(beacon).replace('{', '{"__proto__":{"age":1},"constructor":1,');
    expect(parse(body)).toEqual({ ok: true, beacon });
    expect(parse('{"__proto__":{"v":1}}')).toMatchObject({ ok: false, why: 'shape' });
  });
});
