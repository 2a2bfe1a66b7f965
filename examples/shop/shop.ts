import { OpenFeature } from '@openfeature/web-sdk';
import { TidegateWebProvider } from '@tidegate/web-provider';

/** What the shop's server says: where the controller is, and how the new checkout is broken just now. */
interface Settings {
  readonly controller: string;
  readonly broken: 'none' | 'slow' | 'errors' | 'white' | 'safari';
}

const visitor = new URLSearchParams(location.search).get('visitor') ?? crypto.randomUUID();
const shop = document.querySelector<HTMLElement>('#shop');

function show(isNew: boolean): void {
  if (shop === null) return;
  shop.className = isNew ? 'new' : 'old';
  const hero = document.createElement('p');
  hero.className = 'hero';
  hero.textContent = isNew
    ? 'One page, one button: the new checkout.'
    : 'Basket, address, payment: the checkout you know.';
  const buy = document.createElement('button');
  buy.textContent = 'Buy a tide table';
  buy.addEventListener('click', () => {
    OpenFeature.getClient().track('checkout');
    buy.textContent = 'Thank you!';
  });
  const leave = document.createElement('a');
  leave.href = '/bye';
  leave.textContent = 'Leave the shop';
  shop.replaceChildren(hero, buy, document.createElement('hr'), leave);
}

function isSafari(): boolean {
  return /Safari/.test(navigator.userAgent) && !/Chrom/.test(navigator.userAgent);
}

async function open(): Promise<void> {
  const settings: Settings = await (await fetch('/settings.json')).json();
  await OpenFeature.setContext({ targetingKey: visitor });
  await OpenFeature.setProviderAndWait(new TidegateWebProvider({ url: settings.controller, rum: { enabled: true } }));
  const isNew = OpenFeature.getClient().getBooleanValue('checkout-v2', false);
  const broken = isNew && (settings.broken !== 'safari' || isSafari()) ? settings.broken : 'none';
  if (broken === 'white') {
    // A page that dies takes its monitoring with it.
    await OpenFeature.close();
    document.body.replaceChildren();
    return;
  }
  if (broken === 'slow') await new Promise((resolve) => setTimeout(resolve, 800));
  show(isNew);
  if (broken === 'errors' || broken === 'safari') throw new Error('the new checkout broke');
}

void open();
