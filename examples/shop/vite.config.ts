import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** Bundles the demo shop, straight from the providers' sources, into `dist/shop`. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  resolve: { conditions: ['tidegate:source', 'browser', 'import', 'module', 'default'] },
  build: {
    outDir: fileURLToPath(new URL('../../dist/shop', import.meta.url)),
    emptyOutDir: true,
    modulePreload: { polyfill: false },
  },
});
