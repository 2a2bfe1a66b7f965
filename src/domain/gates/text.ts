import type { Reading } from '../decision.ts';
import { metrics } from '../metrics.ts';
import type { Signal } from '../signal.ts';

/** `7.4 %`, `2610 ms`, `0.12` */
export function valueText(signal: Signal, value: number | null): string {
  if (value === null) return 'unknown';
  const { source } = signal.spec;
  if (source.event !== 'web_vital') return `${digits(100 * value)} %`;
  return metrics[source.field].unit === 'ms' ? `${Math.round(value)} ms` : `${digits(value)}`;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 1) return String(Number(value.toPrecision(2)));
  return String(Number(value.toFixed(size < 100 ? 1 : 0)));
}

function signed(text: string, value: number): string {
  return value > 0 ? `+${text}` : text;
}

/** A number on one of the scales: `+8.2 %`, `+0.5 points`, `+120 ms`, or a plain value. */
export function amountText(signal: Signal, scale: Reading['scale'], amount: number): string {
  if (scale === 'relative') return signed(`${digits(100 * amount)} %`, amount);
  if (scale === 'absolute') return valueText(signal, amount);
  if (signal.spec.source.event === 'web_vital') return signed(valueText(signal, amount), amount);
  return signed(`${digits(100 * amount)} points`, amount);
}

/** `JS errors`, `LCP p75`, ... and what the share is of. */
function nameOf({ spec: { source, statistic } }: Signal): { name: string; of: string } {
  switch (source.event) {
    case 'web_vital':
      return {
        name: statistic.kind === 'mean' ? `mean ${source.field}` : `${source.field} p${100 * (statistic.q ?? 0)}`,
        of: '',
      };
    case 'error':
      return { name: 'JS errors', of: source.field === 'views' ? ' of page views' : ' of units' };
    case 'silence':
      return { name: 'no beacon from', of: ' of units' };
    case 'end':
      return { name: 'page views with an end', of: '' };
    case 'conversion':
      return { name: `${source.field} conversions`, of: ' of units' };
  }
}

/** `JS errors 7.4 % of units with the flag, 1.1 % without` */
export function comparisonText(signal: Signal, treatment: number | null, control: number | null): string {
  const { name, of } = nameOf(signal);
  if (treatment === null && control === null) return `${signal.metadata.name} has no data yet`;
  const unknown = 'no data';
  const withFlag = treatment === null ? unknown : `${valueText(signal, treatment)}${of}`;
  return `${name} ${withFlag} with the flag, ${control === null ? unknown : valueText(signal, control)} without`;
}

/** `(difference 6.3 points)` of shares, `(+9 %)` of times. */
export function differenceText(signal: Signal, treatment: number | null, control: number | null): string {
  if (treatment === null || control === null) return '';
  if (signal.spec.source.event !== 'web_vital') return ` (difference ${digits(100 * (treatment - control))} points)`;
  return control === 0 ? '' : ` (${signed(`${digits(100 * (treatment / control - 1))} %`, treatment - control)})`;
}
