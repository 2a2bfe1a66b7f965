import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, type Provider, ProviderEvents } from '@openfeature/web-sdk';

/** A page with the official OFREP provider: shows the flag, and when it last changed. Runs in the browser. */
const query = new URLSearchParams(location.search);
const client = OpenFeature.getClient();
const title = document.querySelector('h1');

function show(): void {
  if (title === null) return;
  title.textContent = client.getBooleanValue('checkout-v2', false) ? 'new' : 'old';
  title.dataset.changedAt = String(Date.now());
}

client.addHandler(ProviderEvents.Ready, show);
client.addHandler(ProviderEvents.ConfigurationChanged, show);
OpenFeature.setProvider(
  // Whoever learns of a change here learned of it from the stream: the polling net is off.
  new OFREPWebProvider({ baseUrl: query.get('controller') ?? '', pollInterval: -1 }) as Provider,
  { targetingKey: query.get('visitor') ?? '' },
);
