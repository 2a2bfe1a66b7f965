import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { TidegateWebProvider } from '@tidegate/web-provider';

/** The page under test: shows flag values, and does what the query string says. Runs in the browser. */
const query = new URLSearchParams(location.search);
const log: string[] = [];
const violations: string[] = [];

document.addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));

const provider = new TidegateWebProvider({
  url: query.get('controller') ?? '',
  rum: { enabled: query.get('rum') === 'on' },
});
Object.assign(window, { tidegate: { log, violations, provider, OpenFeature } });

const client = OpenFeature.getClient();

function show(): void {
  const title = document.querySelector('h1');
  if (title) title.textContent = `checkout ${client.getBooleanValue('checkout', false) ? 'new' : 'old'}`;
}

for (const event of [ProviderEvents.Ready, ProviderEvents.Stale, ProviderEvents.ConfigurationChanged])
  client.addHandler(event, () => {
    log.push(event);
    show();
  });

document.querySelector('#buy')?.addEventListener('click', () => {
  client.track('bought');
  const until = performance.now() + 60;
  while (performance.now() < until);
});
document.querySelector('#break')?.addEventListener('click', () => {
  throw new Error('broken on purpose');
});
document.querySelector('#consent')?.addEventListener('click', () => provider.enableRum());

OpenFeature.setProvider(provider, { targetingKey: 'u1' });
